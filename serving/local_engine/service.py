"""The served model as the routes see it."""

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from serving.local_engine.loading import Loaded
from serving.local_engine.text_service import TextService

COMPUTE_TYPE = "cpu"
ENGINE = f"ctranslate2-{version('ctranslate2')}"
FINGERPRINT = f"{ENGINE}-native"
"""OpenAI's `system_fingerprint`; TGI builds it from its version and its image's label in the same way."""


@dataclass(frozen=True, slots=True)
class Service:
    """A generating model and what is said about it."""

    model_id: str
    loaded: Loaded
    text: TextService
    info: dict[str, Any]
    max_client_batch_size: int

    def headers(self, inputs: str) -> dict[str, str]:
        """Response headers that every answer has."""
        return {"x-compute-type": COMPUTE_TYPE, "x-compute-characters": str(len(inputs))}
