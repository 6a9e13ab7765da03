"""`LocalService`: one supervised process on this machine as a Pulumi resource.

An update starts the new process beside the old one, waits until it is healthy, moves discovery over, drains
the old one and stops it. Where both listen on one port, new connections are the new one's from then on
(handover.py). When the new one does not become healthy it is removed, the old one goes on serving
and the update fails with the last lines of its log.

`diff` also looks at the machine: a process that should run and does not is a change, so that after a reboot or
a crash beyond repair an ordinary `pulumi up` brings everything back.
"""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypedDict

import pulumi
from pulumi.dynamic import (
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    ResourceProvider,
    UpdateResult,
)

from infra.providers.local import discovery, targets
from infra.providers.local.daemon import Daemon
from infra.providers.local.handover import handed_over
from infra.providers.local.process import Process, ProcessError, instances, lay_out
from infra.providers.local.spec import ServiceSpec


class LocalServiceArgs(TypedDict):
    """One process."""

    stack_dir: str
    """Folder of the stack's run-time files; one supervisord serves it."""
    spec: dict[str, Any]
    """`ServiceSpec.plain()`."""


class LocalServiceProvider(ResourceProvider):
    """Creates, rolls, stops and reads back one process."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Starts the process and waits until it is healthy."""
        outs = _roll(props)
        return CreateResult(id_=ServiceSpec.parse(props["spec"]).name, outs=outs)

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Another spec is a change; so is a process that should run and does not."""
        moved = olds["stack_dir"] != news["stack_dir"]
        changed = _plain(olds["spec"]) != _plain(news["spec"]) or _status(news) != "running"
        renamed = olds["spec"]["name"] != news["spec"]["name"]
        replaces = [key for key, differs in (("stack_dir", moved), ("spec", renamed)) if differs]
        return DiffResult(changes=bool(replaces) or changed, replaces=replaces, delete_before_replace=True)

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """New process healthy, discovery moved, old process drained and stopped."""
        return UpdateResult(outs=_roll(news))

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Out of discovery, drained, stopped."""
        daemon, spec = _parts(props)
        for process in instances(daemon, spec.name):
            _retire(process)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """The state of the process as it is now; no id where nothing of it is left."""
        daemon, spec = _parts(props)
        running = instances(daemon, spec.name)
        if not running:
            return ReadResult(id_="", outs={})
        process = next((found for found in running if found.spec == spec), running[-1])
        return ReadResult(id_=id_, outs=_outs({**props, "spec": process.spec.plain()}, process))


class LocalService(Resource, module="local", name="Service"):
    """A process on this machine."""

    status: pulumi.Output[str]
    """`running`, or supervisord's word for what is wrong."""
    ports: pulumi.Output[Mapping[str, int]]
    """The port numbers in use, by name."""
    instance: pulumi.Output[str]
    """Name of the process under supervisord."""

    def __init__(self, name: str, args: LocalServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        outputs = {"status": None, "ports": None, "instance": None}
        super().__init__(LocalServiceProvider(), name, {**args, **outputs}, opts)


def _roll(props: dict[str, Any]) -> dict[str, Any]:
    daemon, spec = _parts(props)
    old = [process for process in instances(daemon, spec.name) if process.spec != spec]
    new = lay_out(daemon, spec)
    if spec.overlap:
        _bring_up(new)
        with ExitStack() as handovers:
            for port in _shared_ports(old, new):
                handovers.enter_context(handed_over(port, [process.pid() for process in old], new.pid()))
            _retire_all(old)
    else:
        for process in old:
            _stop_keeping_files(process)
        try:
            _bring_up(new)
        except ProcessError:
            for process in old:
                process.start()
            raise
        _retire_all(old)
    return _outs(props, new)


def _shared_ports(old: list[Process], new: Process) -> set[int]:
    """Ports at which old and new processes listen at the same time."""
    return {port for process in old for port in process.ports.values()} & set(new.ports.values())


def _bring_up(process: Process) -> None:
    try:
        if process.state() == "unhealthy":
            # It hangs, or it is the half of an interrupted run: a fresh start is the quickest way to know.
            process.daemon.remove(process.name)
        process.start()
        process.wait_healthy()
    except ProcessError:
        process.stop()
        raise
    if process.spec.discovery is not None:
        discovery.join(process.spec.discovery, process.spec.name, process.ports)
    targets.show(process)


def _retire_all(old: list[Process]) -> None:
    for process in old:
        # Its place in discovery now belongs to the new process of the same name.
        _settle(process)
        process.stop()


def _retire(process: Process) -> None:
    if process.spec.discovery is not None:
        discovery.leave(process.spec.discovery, process.spec.name)
        _settle(process)
    targets.hide(process)
    process.stop()


def _settle(process: Process) -> None:
    if process.spec.discovery is not None:
        time.sleep(process.spec.drain.settle_seconds)


def _stop_keeping_files(process: Process) -> None:
    process.daemon.remove(process.name)


def _parts(props: Mapping[str, Any]) -> tuple[Daemon, ServiceSpec]:
    return Daemon(Path(props["stack_dir"])), ServiceSpec.parse(props["spec"])


def _plain(spec: Mapping[str, Any]) -> dict[str, Any]:
    # Through the dataclass: numbers that came back from the engine as floats compare equal.
    return ServiceSpec.parse(spec).plain()


def _status(props: Mapping[str, Any]) -> str:
    daemon, spec = _parts(props)
    process = next((found for found in instances(daemon, spec.name) if found.spec == spec), None)
    return process.state() if process else "gone"


def _outs(props: Mapping[str, Any], process: Process) -> dict[str, Any]:
    return {**props, "status": process.state(), "ports": dict(process.ports), "instance": process.name}
