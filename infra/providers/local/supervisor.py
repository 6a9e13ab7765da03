"""`LocalSupervisor`: the supervisord of a stack as a Pulumi resource. Created first, deleted last."""

import shutil
from pathlib import Path
from typing import Any, TypedDict

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from infra.providers.local.daemon import Daemon


class LocalSupervisorArgs(TypedDict):
    """One supervisord."""

    stack_dir: str
    """Folder of the stack's run-time files. It goes when the resource goes."""


class LocalSupervisorProvider(ResourceProvider):
    """Starts and stops supervisord."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Starts it; one that runs already is taken over."""
        Daemon(Path(props["stack_dir"])).start()
        return CreateResult(id_="supervisord", outs=_outs(props))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """A daemon that should run and does not is a change."""
        moved = olds["stack_dir"] != news["stack_dir"]
        return DiffResult(
            changes=moved or Daemon(Path(news["stack_dir"])).pid() is None,
            replaces=["stack_dir"] if moved else [],
            delete_before_replace=True,
        )

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Starts it again, with all its programs."""
        Daemon(Path(news["stack_dir"])).start()
        return UpdateResult(outs=_outs(news))

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Stops it and whatever still runs under it, and removes the stack's run-time files."""
        Daemon(Path(props["stack_dir"])).stop()
        shutil.rmtree(props["stack_dir"], ignore_errors=True)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """No id where it does not run."""
        running = Daemon(Path(props["stack_dir"])).pid() is not None
        return ReadResult(id_=id_ if running else "", outs=_outs(props))


class LocalSupervisor(Resource, module="local", name="Supervisor"):
    """The process manager of a stack on this machine."""

    socket: pulumi.Output[str]
    """Path of the control socket, for `supervisorctl -s unix://PATH`."""

    def __init__(self, name: str, args: LocalSupervisorArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(LocalSupervisorProvider(), name, {**args, "socket": None}, opts)


def _outs(props: dict[str, Any]) -> dict[str, Any]:
    return {**props, "socket": str(Daemon(Path(props["stack_dir"])).socket)}
