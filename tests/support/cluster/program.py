"""A Pulumi program for Kubernetes under the real engine, the test provider in the place of the real one."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import yaml

from infra.toolchain import engine_env
from tests.fakes import kubernetes_provider
from tests.support.kubernetes_api import Object
from tests.support.pulumi_run import Run, event_log, finish, good, start, variables

PROJECT, STACK = "small", "test"
STATE = f"state/.pulumi/stacks/{PROJECT}/{STACK}.json"
"""Where the engine keeps it, below a program's folder."""
PATIENCE_SECONDS = 600
PREFACE = """\
import pulumi
import pulumi_kubernetes as k8s
from pulumi import CustomTimeouts, ResourceOptions

cluster = k8s.Provider("cluster", kubeconfig=open("kubeconfig").read(), cluster_identifier="test")
on_cluster = ResourceOptions(provider=cluster)
"""
# Without the SDK of Kubernetes, whose import takes a second: objects go to the provider as they stand.
_OBJECTS = """\
import json
import pulumi

content = json.load(open("objects.json"))
cluster = pulumi.ProviderResource("kubernetes", "cluster", content["provider"])
made = {}
for entry in content["objects"]:
    item = entry["item"]
    version = item["apiVersion"] if "/" in item["apiVersion"] else f"core/{item['apiVersion']}"
    timeouts = pulumi.CustomTimeouts(**entry["timeouts"]) if entry["timeouts"] else None
    options = pulumi.ResourceOptions(
        provider=cluster,
        depends_on=[made[name] for name in entry["after"]],
        custom_timeouts=timeouts,
        ignore_changes=entry["ignored"],
    )
    made[entry["name"]] = pulumi.CustomResource(f"kubernetes:{version}:{item['kind']}", entry["name"], item, options)
"""


@dataclass(frozen=True, slots=True)
class Placed:
    """One object of a program, and how the engine is to treat it."""

    item: Object
    name: str = ""
    """The program's name for it; default: the object's own."""
    after: tuple[str, ...] = ()
    """Names of what must be there before."""
    timeouts: dict[str, str] | None = None
    """Such as `{"create": "5s"}`."""
    ignored: tuple[str, ...] = ()
    """Paths whose changes are ignored."""

    def entry(self) -> Object:
        """As the program reads it."""
        name = self.name or self.item["metadata"]["name"]
        return {
            "item": self.item,
            "name": name,
            "after": self.after,
            "timeouts": self.timeouts,
            "ignored": self.ignored,
        }


@dataclass(frozen=True, slots=True)
class Program:
    """A project in a folder of its own, with a stack in that folder."""

    root: Path

    @classmethod
    def make(cls, root: Path, kubeconfig: Path) -> "Program":
        """Lays it out; its stack is empty."""
        program = cls(root)
        (root / "infra").mkdir(parents=True)
        (root / "state").mkdir()
        (root / ".venv").symlink_to(sys.prefix)
        (root / "infra/kubeconfig").write_text(kubeconfig.read_text())
        program.write("")
        program._write_project()
        assert program.pulumi("stack", "init").status == 0
        return program

    def copy(self, root: Path) -> "Program":
        """Another project with a state of its own, which is this one's now."""
        shutil.copytree(self.root, root, symlinks=True)
        program = Program(root)
        program._write_project()
        return program

    def write(self, text: str, preface: str = PREFACE) -> None:
        """The program; it finds `k8s`, the provider resource `cluster` and the options `on_cluster`."""
        (self.root / "infra/__main__.py").write_text(preface + dedent(text))

    def place(self, *objects: Object | Placed, provider: dict[str, str] | None = None) -> None:
        """A program of just these objects; `provider` are further arguments of the provider."""
        kubeconfig = (self.root / "infra/kubeconfig").read_text()
        given = {"kubeconfig": kubeconfig, "clusterIdentifier": "test", **(provider or {})}
        entries = [(item if isinstance(item, Placed) else Placed(item)).entry() for item in objects]
        (self.root / "infra/objects.json").write_text(json.dumps({"provider": given, "objects": entries}))
        self.write("", _OBJECTS)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """`pulumi ARGUMENTS` for the stack, in a process group of its own."""
        return start(self.root, STACK, self._variables(), *arguments)

    def finish(self, started: "subprocess.Popen[str]") -> Run:
        """Waits for its end."""
        return finish(self.root, started, PATIENCE_SECONDS)

    def pulumi(self, *arguments: str) -> Run:
        """The same to its end."""
        return self.finish(self.start(*arguments))

    def preview(self, *arguments: str) -> Run:
        """What would be done; must succeed."""
        return good(self._logged("preview", *arguments))

    def up(self, *arguments: str) -> Run:
        """A deployment that must succeed."""
        return good(self.try_up(*arguments))

    def try_up(self, *arguments: str) -> Run:
        """A deployment that may fail."""
        return self._logged("up", "--yes", "--skip-preview", *arguments)

    def start_up(self, *arguments: str) -> "subprocess.Popen[str]":
        """A deployment under way."""
        return self.start("up", "--yes", "--skip-preview", *self._log(), *arguments)

    def destroy(self) -> Run:
        """Removes everything; must succeed."""
        return good(self._logged("destroy", "--yes", "--skip-preview"))

    def state(self) -> dict[str, dict[str, Any]]:
        """The resources of the stack by their names, as the engine keeps them."""
        content = json.loads((self.root / STATE).read_text())
        resources = content["checkpoint"]["latest"].get("resources", [])
        return {resource["urn"].rpartition("::")[2]: resource for resource in resources}

    def _write_project(self) -> None:
        document = {
            "name": PROJECT,
            "runtime": {"name": "python", "options": {"virtualenv": ".venv"}},
            "main": "infra",
            # As the kit's own: without it a run that is killed may leave a file of the state half written.
            "backend": {"url": f"file://{self.root}/state?metadata=skip"},
            "plugins": {"providers": [{"name": "kubernetes", "path": str(kubernetes_provider.FOLDER)}]},
        }
        (self.root / "Pulumi.yaml").write_text(yaml.safe_dump(document))

    def _logged(self, *arguments: str) -> Run:
        return self.pulumi(*arguments, *self._log())

    def _log(self) -> tuple[str, str]:
        return event_log(self.root)

    def _variables(self) -> dict[str, str]:
        return {
            **variables(),
            **engine_env(),
            "PULUMI_HOME": str(self.root / "home"),
            "PULUMI_CONFIG_PASSPHRASE": "any",
            "PULUMI_ERROR_OUTPUT_STRING": "1",
        }
