"""A berth project in a temporary folder: this checkout's program, its own stack files, state and processes."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from infra.providers.local import ports
from infra.tasks import down, outputs
from infra.tasks.engine import pulumi, select, untouched
from infra.tasks.session import ROOT, Session

STACK = "local"


@dataclass(frozen=True, slots=True)
class Project:
    """`infra` and `.venv` are this checkout's; everything a run writes stays below `root`."""

    root: Path
    gateway_port: int
    prometheus_port: int
    port_range: tuple[int, int]

    @classmethod
    def make(cls, root: Path, port_range: tuple[int, int]) -> "Project":
        """Lays the project out. Its fixed ports are the first free ones of the range."""
        for name in ("infra", ".venv"):
            (root / name).symlink_to(ROOT / name)
        (root / "stacks").mkdir()
        shutil.copy(ROOT / "Pulumi.yaml", root)
        shutil.copy(ROOT / "stacks/defaults.yaml", root / "stacks")
        gateway = ports.take(port_range, ())
        return cls(root, gateway, ports.take(port_range, (gateway,)), (port_range[0] + 10, port_range[1]))

    @property
    def session(self) -> Session:
        """As the tasks see it."""
        return Session(self.root)

    def write(self, models: dict[str, Any], **sections: Any) -> None:
        """Writes the stack file. `sections` are laid over gateway, monitoring and local."""
        config: dict[str, Any] = {
            "platform": "local",
            "models": models,
            "gateway": {"port": self.gateway_port, **sections.pop("gateway", {})},
            "monitoring": {"prometheus_port": self.prometheus_port, **sections.pop("monitoring", {})},
            "local": {"ports": f"{self.port_range[0]}-{self.port_range[1]}", **sections.pop("local", {})},
            **sections,
        }
        text = yaml.safe_dump({"config": {f"berth:{name}": value for name, value in config.items()}})
        self.session.stack_file(STACK).write_text(text)

    def pulumi(self, *args: str) -> subprocess.CompletedProcess[str]:
        """`pulumi ARGS --stack local`, its output kept."""
        self.session.open()
        with untouched(self.session.stack_file(STACK)):
            select(self.session, STACK)
            return pulumi(self.session, *args, "--stack", STACK, capture=True)

    def up(self) -> subprocess.CompletedProcess[str]:
        """`pulumi up`; raises with its output when it fails."""
        done = self.pulumi("up", "--yes", "--skip-preview", "--suppress-outputs")
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, secrets in plain."""
        return outputs.read(self.session, STACK, secrets=True)

    def down(self) -> None:
        """`make down`."""
        down.down(self.session, STACK)
