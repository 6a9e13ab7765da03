"""What a program asks the engine for, without an engine."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks
from pulumi.runtime.proto import resource_pb2

from infra.render.errors import RenderError
from infra.render.placeholders import placeholder

PROJECT = "berth"
_KUBERNETES = "kubernetes:"
# Of the SDK, which gives it no type.
_test: Callable[[Callable[[], None]], Callable[[], None]] = pulumi.runtime.test


@dataclass(frozen=True, slots=True)
class Made:
    """One resource that a program registered."""

    urn: str
    type: str
    name: str
    parent: str
    """URN; that of the stack, or empty, at the top."""
    needs: frozenset[str]
    """URNs of what must be there before."""
    inputs: Mapping[str, Any]
    """As the provider would get them; secrets are marked (`infra.render.manifests`)."""
    ignored: tuple[str, ...]
    """Paths that someone else owns once the object is there."""

    @property
    def is_object(self) -> bool:
        """Whether it is a Kubernetes object."""
        return self.type.startswith(_KUBERNETES)


def collect(
    program: Callable[[], object],
    stack: str,
    root: Path,
    config: Mapping[str, str],
    secret_keys: list[str],
    stand_in: Callable[[str], str] = placeholder,
) -> list[Made]:
    """Runs a program to its end; what it registered. Its own exceptions pass through.

    Outputs of objects are their inputs. Outputs that a resource declares secret are what `stand_in` gives for
    `resource.output`.
    """
    recorder = _Recorder(stand_in)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    pulumi.runtime.set_mocks(recorder.mocks, project=PROJECT, stack=stack, preview=False, monitor=recorder)
    pulumi.runtime.settings.SETTINGS.root_directory = str(root)
    pulumi.runtime.set_all_config(dict(config), secret_keys)

    def run() -> None:
        program()

    try:
        _test(run)()
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    return [_made(urn, request) for urn, request in recorder.requests.items()]


class _Unused(Mocks):
    """The recorder answers itself."""

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        return args.name, args.inputs

    def call(self, _args: MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        return {}, None


class _Recorder(MockMonitor):
    def __init__(self, stand_in: Callable[[str], str]) -> None:
        super().__init__(_Unused())
        self._stand_in = stand_in
        self.requests: dict[str, Any] = {}

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        """Gives back what it was given. (The SDK's own way makes an event loop in every thread, and leaves it.)"""
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.type == "pulumi:pulumi:Stack":
            return resource_pb2.RegisterResourceResponse(urn=urn)
        if urn in self.requests:
            raise RenderError(f"two resources have the URN {urn}")
        self.requests[urn] = request
        answer = resource_pb2.RegisterResourceResponse(urn=urn, id=request.name, object=request.object)
        for output in request.additionalSecretOutputs:
            answer.object[output] = self._stand_in(f"{request.name}.{output}")
        return answer

    def ReadResource(self, request: Any) -> Any:  # noqa: N802
        """There is nothing to read from."""
        raise RenderError(f"{request.name}: the program reads {request.type} {request.id}, which only a cluster has")

    def Invoke(self, request: Any) -> Any:  # noqa: N802
        """There is no one to ask."""
        raise RenderError(f"the program calls {request.tok}, which only a cluster or an account could answer")


def _made(urn: str, request: Any) -> Made:
    return Made(
        urn=urn,
        type=request.type,
        name=request.name,
        parent=request.parent,
        needs=frozenset(request.dependencies),
        inputs=_mapping(request.object),
        ignored=tuple(request.ignoreChanges),
    )


def _mapping(struct: Any) -> dict[str, Any]:
    """The SDK's own reading would move a mark from the value that is secret to the property that holds it."""
    return {key: _value(value) for key, value in struct.fields.items()}


def _value(value: Any) -> Any:
    match value.WhichOneof("kind"):
        case "struct_value":
            return _mapping(value.struct_value)
        case "list_value":
            return [_value(item) for item in value.list_value.values]
        case "number_value":
            return value.number_value
        case "bool_value":
            return value.bool_value
        case "string_value":
            return value.string_value
        case _:
            return None
