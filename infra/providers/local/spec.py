"""What one local process is: the plain form of a `LocalService` resource's inputs."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

AUTO = 0
"""A port number that means: take a free one from the stack's range."""


@dataclass(frozen=True, slots=True)
class Health:
    """How a process shows that it can serve: HTTP 200 from `path` on the port called `port`."""

    port: str
    path: str
    seconds: float = 60.0
    """Longest wait from start to healthy, s."""


@dataclass(frozen=True, slots=True)
class Drain:
    """How a process leaves: out of discovery, a pause, a command, SIGTERM, at most `seconds` until SIGKILL."""

    seconds: int = 30
    """Longest time between SIGTERM and SIGKILL, s."""
    settle_seconds: float = 0.0
    """Pause after the process has left discovery, so that whoever routes to it has seen it go, s."""
    command: tuple[str, ...] = ()
    """Run before SIGTERM and waited for; placeholders as in the service's command."""


@dataclass(frozen=True, slots=True)
class Discovery:
    """The set of backends that a process joins once healthy, and leaves before it drains."""

    model: str
    port: str
    registry: str
    """Folder of the backend registry."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What the gateway should know of this backend."""
    weight: int = 1
    """Its share under the routing policy `weighted`."""


@dataclass(frozen=True, slots=True)
class Scrape:
    """Where Prometheus finds the metrics of a process."""

    port: str
    path: str
    folder: str
    """Folder of target files that Prometheus watches; each service has one file in it."""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """One process. Equal specs have equal digests; another digest means another process.

    `command`, `env`, `drain.command` and the contents of `files` may hold placeholders: `{port.NAME}` for
    a port, `{dir}` for the folder of the running instance, in which `files` are laid.
    """

    name: str
    command: tuple[str, ...]
    ports: Mapping[str, int]
    """Name to number; `AUTO` takes a free one from `port_range`."""
    health: Health
    drain: Drain = field(default_factory=Drain)
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    port_range: tuple[int, int] = (21000, 21199)
    """First and last port that `AUTO` may take."""
    overlap: bool = True
    """Whether the new process may run beside the old one during an update. False: stop, then start."""
    discovery: Discovery | None = None
    scrape: Scrape | None = None

    @classmethod
    def parse(cls, props: Mapping[str, Any]) -> "ServiceSpec":
        """Reads the form that `plain` writes. Numbers may arrive as floats, as they do from the engine."""
        drain, found, scrape = props["drain"], props.get("discovery"), props.get("scrape")
        return cls(
            name=props["name"],
            command=tuple(props["command"]),
            ports={name: int(number) for name, number in props["ports"].items()},
            health=Health(**props["health"]),
            drain=Drain(int(drain["seconds"]), float(drain["settle_seconds"]), tuple(drain["command"])),
            env=dict(props["env"]),
            files=dict(props["files"]),
            port_range=(int(props["port_range"][0]), int(props["port_range"][1])),
            overlap=bool(props["overlap"]),
            discovery=Discovery(**{**found, "metadata": dict(found["metadata"]), "weight": int(found["weight"])})
            if found
            else None,
            scrape=Scrape(**{**scrape, "labels": dict(scrape["labels"])}) if scrape else None,
        )

    def plain(self) -> dict[str, Any]:
        """The spec as JSON values, keys in a fixed order."""
        values: dict[str, Any] = _whole(json.loads(json.dumps(asdict(self), sort_keys=True)))
        return values

    @property
    def digest(self) -> str:
        """Eight hex digits over everything a running process depends on."""
        return hashlib.sha256(json.dumps(self.plain(), sort_keys=True).encode()).hexdigest()[:8]

    @property
    def instance(self) -> str:
        """Name of the process that runs this spec, for example `chat-1.4f0c2d11`."""
        return f"{self.name}.{self.digest}"


def fill(template: str, ports: Mapping[str, int], directory: str) -> str:
    """Puts the values in place of `{port.NAME}` and `{dir}`; every other brace is left as it is."""
    for name, number in ports.items():
        template = template.replace(f"{{port.{name}}}", str(number))
    return template.replace("{dir}", directory)


def _whole(value: Any) -> Any:
    """Whole floats as integers: the engine's wire format knows no difference, a digest would."""
    match value:
        case dict():
            return {key: _whole(below) for key, below in value.items()}
        case list():
            return [_whole(below) for below in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value
