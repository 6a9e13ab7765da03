"""What is kept of an object in the engine's state: the object as the server has it, the inputs, the field manager."""

from typing import Any

from tests.fakes.kubernetes_provider import objects
from tests.fakes.kubernetes_provider.properties import Properties, marked, plain

_INPUTS, _VERSION, _MANAGER = "__inputs", "__initialApiVersion", "__fieldManager"


def write(live: dict[str, Any], inputs: Properties, manager: str) -> Properties:
    """Everything that is secret in the inputs is so in the object; of a Secret also what came from `stringData`."""
    state: Properties = dict(marked(live, inputs))
    if objects.kind(live) == "v1/Secret" and isinstance(live.get("data"), dict):
        state["data"] = marked(state["data"], inputs.get("stringData"))
    return {**state, _INPUTS: inputs, _VERSION: live.get("apiVersion"), _MANAGER: manager}


def read(state: Properties) -> tuple[dict[str, Any], dict[str, Any]]:
    """Inputs and live object, without the marks of secrets."""
    values = plain(state)
    live = {name: value for name, value in values.items() if name not in (_INPUTS, _VERSION, _MANAGER)}
    return values.get(_INPUTS) or {}, live


def manager(state: Properties, inputs: dict[str, Any], seed: str) -> str:
    """The field manager: the annotation's, else the state's, else a new one that is the resource's own."""
    own = objects.annotation(inputs, objects.FIELD_MANAGER)
    return own or str(plain(state.get(_MANAGER)) or f"pulumi-kubernetes-{seed}")
