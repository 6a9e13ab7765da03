"""A berth project in a temporary folder whose stack is deployed to a cluster of the tests."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from images import lock
from infra.tasks.engine import select, untouched
from infra.tasks.session import ROOT, Session
from tests.fakes import kubernetes_provider
from tests.support.cluster import CONTEXT
from tests.support.pulumi_run import Run, event_log, finish, good, start, variables

STACK = "test"
TENANT_KEY = "sk-acme-0123456789abcdefghijklmnop"
PATIENCE_SECONDS = 600


@dataclass(frozen=True, slots=True)
class ClusterProject:
    """This checkout's program and environment; stack files and state of its own; the provider for tests."""

    root: Path
    kubeconfig: Path

    @classmethod
    def make(cls, root: Path, kubeconfig: Path) -> "ClusterProject":
        """Lays the project out, with the state's folders and passphrase."""
        (root / "stacks").mkdir(parents=True)
        for name in ("infra", ".venv"):
            (root / name).symlink_to(ROOT / name)
        shutil.copy(ROOT / "stacks/defaults.yaml", root / "stacks")
        document = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
        document["plugins"] = {"providers": [{"name": "kubernetes", "path": str(kubernetes_provider.FOLDER)}]}
        (root / "Pulumi.yaml").write_text(yaml.safe_dump(document))
        (root / "images").mkdir()
        pinned_for_tests(root / "images/images.lock")
        project = cls(root, kubeconfig)
        project.session.open()
        return project

    @property
    def session(self) -> Session:
        """As the tasks see it."""
        return Session(self.root)

    def write(self, models: Mapping[str, Any], **sections: Mapping[str, Any]) -> None:
        """Writes the stack file, one tenant in it. `sections` are laid over kubernetes, gateway and monitoring."""
        config: dict[str, Any] = {
            "platform": "kubernetes",
            "models": models,
            "kubernetes": {"context": CONTEXT, **sections.get("kubernetes", {})},
            "gateway": {"host": "llm.example.com", **sections.get("gateway", {})},
            "monitoring": {**sections.get("monitoring", {})},
        }
        file = self.session.stack_file(STACK)
        file.write_text(yaml.safe_dump({"config": {f"berth:{name}": value for name, value in config.items()}}))
        done = self.pulumi("config", "set", "--secret", "--path", "berth:gateway.tenants.acme.key", TENANT_KEY)
        assert done.status == 0, done.output

    def edit(self, model: str, **fields: Any) -> None:
        """Changes fields of a model in the stack file, or adds the model."""
        models = self._document()["config"]["berth:models"]
        self._write("models", {**models, model: {**models.get(model, {}), **fields}})

    def remove(self, model: str) -> None:
        """Takes a model out of the stack file."""
        models = self._document()["config"]["berth:models"]
        self._write("models", {name: value for name, value in models.items() if name != model})

    def edit_nodes(self, **pools: Mapping[str, Any]) -> None:
        """Adds or changes pools of GPU nodes."""
        section = self._document()["config"]["berth:kubernetes"]
        self._write("kubernetes", {**section, "nodes": {**section["nodes"], **pools}})

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """`pulumi ARGUMENTS --stack test`, in a process group of its own."""
        return start(self.root, STACK, self._variables(), *arguments)

    def finish(self, started: "subprocess.Popen[str]") -> Run:
        """Waits for its end; one that does not come is a failure that shows how far it came."""
        return finish(self.root, started, PATIENCE_SECONDS)

    def pulumi(self, *arguments: str) -> Run:
        """A run to its end; the stack is made where it does not exist."""
        with self._selected():
            return self.finish(self.start(*arguments))

    def start_up(self) -> "subprocess.Popen[str]":
        """A deployment under way."""
        with self._selected():
            return self.start("up", "--yes", "--skip-preview", *self._log())

    def try_up(self) -> Run:
        """A deployment that may fail."""
        return self.pulumi("up", "--yes", "--skip-preview", *self._log())

    def up(self) -> Run:
        """A deployment that must succeed."""
        return good(self.try_up())

    def preview(self) -> Run:
        """What would be done; must succeed."""
        return good(self.pulumi("preview", *self._log()))

    def destroy(self) -> Run:
        """Removes everything; must succeed."""
        return good(self.pulumi("destroy", "--yes", "--skip-preview", *self._log()))

    def state(self) -> list[dict[str, Any]]:
        """The resources of the stack as the engine keeps them."""
        content = json.loads((self.session.home / f"state/.pulumi/stacks/berth/{STACK}.json").read_text())
        resources: list[dict[str, Any]] = content["checkpoint"]["latest"].get("resources", [])
        return resources

    def _document(self) -> dict[str, Any]:
        document: dict[str, Any] = yaml.safe_load(self.session.stack_file(STACK).read_text())
        return document

    def _write(self, section: str, value: Any) -> None:
        document = self._document()
        document["config"][f"berth:{section}"] = value
        self.session.stack_file(STACK).write_text(yaml.safe_dump(document))

    @contextmanager
    def _selected(self) -> Iterator[None]:
        with untouched(self.session.stack_file(STACK)):
            select(self.session, STACK)
            yield

    def _log(self) -> tuple[str, str]:
        return event_log(self.root)

    def _variables(self) -> dict[str, str]:
        return {
            **variables(),
            **self.session.own_environment(),
            "KUBECONFIG": str(self.kubeconfig),
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(self.session.passphrase),
        }


def pinned_for_tests(path: Path) -> None:
    """The kit's lock with a digest for every image: nothing is pulled here, and most are not known to the tests."""
    pins = {
        name: replace(
            pin,
            repository=pin.repository or f"registry.example.com/berth/{name}",
            tag=pin.tag or "test",
            digest=pin.digest or f"sha256:{hashlib.sha256(name.encode()).hexdigest()}",
        )
        for name, pin in lock.read().items()
    }
    lock.write(pins, path)
