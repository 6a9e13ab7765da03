"""What a program asks the engine for, without one: every registration with its parent, dependencies and timeouts."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi.runtime import rpc
from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks


@dataclass(frozen=True, slots=True)
class Registration:
    """One resource."""

    type: str
    name: str
    inputs: dict[str, Any]
    parent: str
    """Name of the parent; empty below the stack."""
    dependencies: frozenset[tuple[str, str]]
    """Kind and name of each."""
    timeouts: tuple[str, str, str]
    """Create, update, delete."""
    ignored: tuple[str, ...]

    @property
    def key(self) -> tuple[str, str]:
        """Kind and name."""
        return _kind(self.type), self.name


class _Echo(Mocks):
    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        return args.name, args.inputs

    def call(self, args: MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        return {}, None


class _Monitor(MockMonitor):
    def __init__(self) -> None:
        super().__init__(_Echo())
        self.requests: list[Any] = []

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        self.requests.append(request)
        # It would make a loop for this thread of the pool, and leave it open.
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            return super().RegisterResource(request)
        finally:
            asyncio.set_event_loop(None)
            loop.close()


def registrations(program: Callable[[], object], *, preview: bool = False) -> dict[tuple[str, str], Registration]:
    """By kind and name, in the order of registration; a key that comes twice is an error, as with the engine."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    monitor = _Monitor()
    pulumi.runtime.set_mocks(_Echo(), project="berth", stack="test", preview=preview, monitor=monitor)

    def run() -> None:
        program()

    try:
        pulumi.runtime.test(run)()
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    found: dict[tuple[str, str], Registration] = {}
    for request in monitor.requests:
        if request.type == "pulumi:pulumi:Stack":
            continue
        made = Registration(
            request.type,
            request.name,
            dict(rpc.deserialize_properties(request.object)),
            request.parent.rpartition("::")[2] if "pulumi:pulumi:Stack" not in _type(request.parent) else "",
            frozenset((_kind(_type(urn)), urn.rpartition("::")[2]) for urn in request.dependencies),
            (request.customTimeouts.create, request.customTimeouts.update, request.customTimeouts.delete),
            tuple(request.ignoreChanges),
        )
        assert made.key not in found, f"{made.key} is registered twice"
        found[made.key] = made
    return found


def _kind(token: str) -> str:
    """Kind of a Kubernetes object, `berth:<Class>` of a component."""
    package, _, kind = token.split(":")
    return kind if package == "kubernetes" else f"{package}:{kind}"


def _type(urn: str) -> str:
    return urn.split("::")[2].rpartition("$")[2] if urn else ""
