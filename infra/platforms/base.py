"""What every platform gives back, whatever it is made of."""

from collections.abc import Mapping
from typing import Any, Protocol, TypedDict

import pulumi

from infra.planning import Plan
from infra.settings import Settings


class Endpoint(TypedDict):
    """Base URLs of one model, known at preview."""

    openai: str
    """For OpenAI clients; the same for every model, the request's `model` chooses."""
    native: str
    """For TGI and TEI clients; the URL names the model."""


class Outputs(TypedDict):
    """The stack's outputs."""

    endpoints: dict[str, Endpoint]
    """By model."""
    api_key: pulumi.Output[str] | None
    """A key that the gateway accepts; secret. None where every tenant brings its own."""
    dashboards: dict[str, str]
    """URLs by name."""
    example_model: str | None
    """A model that chats, for the line to paste after `make up`."""
    plan: Mapping[str, Any]
    """What was deployed, for the next preview to compare with."""


class Platform(Protocol):
    """Turns a plan into resources."""

    def build(self, settings: Settings, plan: Plan) -> Outputs:
        """Registers every resource. Raises `pulumi.RunError` before the first when the machine cannot hold the plan."""
        ...


def endpoints(base_url: str, models: Mapping[str, Any]) -> dict[str, Endpoint]:
    """The URLs of all models behind one gateway at `base_url` (no slash at its end)."""
    return {name: Endpoint(openai=f"{base_url}/v1", native=f"{base_url}/models/{name}") for name in sorted(models)}
