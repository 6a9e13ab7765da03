"""Remote services behind the gateway."""

import re
from dataclasses import dataclass, field

from serving.gateway.care import Timeouts

URL = re.compile(r"(https?)://([A-Za-z0-9.-]+)(?::([0-9]{1,5}))?(/[A-Za-z0-9._/-]*)?")
"""Base URL: scheme, host, port, path."""


@dataclass(frozen=True, slots=True)
class Provider:
    """A remote service with the OpenAI API, for the end of a fallback chain. Clients cannot name it."""

    name: str
    url: str
    """Base URL up to and with its version: https://api.example.com/v1"""
    model: str
    """The model's name there."""
    key: str = field(repr=False)
    """The bearer key of the service. It is written to rds.json, which only the gateway's user can read."""
    timeouts: Timeouts = field(default_factory=Timeouts)
