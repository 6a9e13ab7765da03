"""A berth project in a temporary folder whose stack is deployed to a cluster of the tests."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from infra.tasks.engine import select, untouched
from infra.tasks.session import ROOT, Session
from tests.fakes import kubernetes_provider
from tests.support.cluster import CONTEXT
from tests.support.cluster.program import Run

STACK = "test"
TENANT_KEY = "sk-acme-0123456789abcdefghijklmnop"
PATIENCE_SECONDS = 240


@dataclass(frozen=True, slots=True)
class ClusterProject:
    """This checkout's program and environment; stack files and state of its own; the provider for tests."""

    root: Path
    kubeconfig: Path

    @classmethod
    def make(cls, root: Path, kubeconfig: Path) -> "ClusterProject":
        """Lays the project out, with the state's folders and passphrase."""
        for name in ("infra", ".venv"):
            (root / name).symlink_to(ROOT / name)
        (root / "stacks").mkdir()
        shutil.copy(ROOT / "stacks/defaults.yaml", root / "stacks")
        document = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
        document["plugins"] = {"providers": [{"name": "kubernetes", "path": str(kubernetes_provider.FOLDER)}]}
        (root / "Pulumi.yaml").write_text(yaml.safe_dump(document))
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

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """`pulumi ARGUMENTS --stack test`, in a process group of its own, with the engine's event log."""
        (self.root / "events").unlink(missing_ok=True)
        return subprocess.Popen(
            ["pulumi", *arguments, "--stack", STACK, "--non-interactive"],
            cwd=self.root,
            env=self._variables(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        )

    def finish(self, started: "subprocess.Popen[str]") -> Run:
        """Waits for its end."""
        output, _ = started.communicate(timeout=PATIENCE_SECONDS)
        log = self.root / "events"
        events = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return Run(started.returncode, output, events)

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
        return _good(self.try_up())

    def preview(self) -> Run:
        """What would be done; must succeed."""
        return _good(self.pulumi("preview", *self._log()))

    def destroy(self) -> Run:
        """Removes everything; must succeed."""
        return _good(self.pulumi("destroy", "--yes", "--skip-preview", *self._log()))

    def state(self) -> list[dict[str, Any]]:
        """The resources of the stack as the engine keeps them."""
        content = json.loads((self.session.home / f"state/.pulumi/stacks/berth/{STACK}.json").read_text())
        resources: list[dict[str, Any]] = content["checkpoint"]["latest"].get("resources", [])
        return resources

    @contextmanager
    def _selected(self) -> Iterator[None]:
        with untouched(self.session.stack_file(STACK)):
            select(self.session, STACK)
            yield

    def _log(self) -> tuple[str, str]:
        return "--event-log", str(self.root / "events")

    def _variables(self) -> dict[str, str]:
        # What a developer has set for clusters and backends of their own must not reach a test.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI", "KUBE"))}
        return {
            **inherited,
            **self.session.own_environment(),
            "KUBECONFIG": str(self.kubeconfig),
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(self.session.passphrase),
            "PULUMI_DEBUG_COMMANDS": "true",  # shows the option for the event log
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "1",
        }


def _good(run: Run) -> Run:
    assert run.status == 0, run.output
    return run
