"""What a model server is to the rest of the kit: command, environment, probes, drain, limits, metric names, routes.

An adapter is pure: it turns a `Replica` into plain strings and knows nothing of processes or Pulumi. This machine runs
`command` with `env` as a process; a container of `image` runs `container_command` with `container_env`.
"""

import difflib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from serving.engines.metrics import MetricNames


class EngineError(ValueError):
    """A replica that an engine cannot serve; `str()` lists every reason, one a line."""


class Task(StrEnum):
    """What a model does with its input."""

    GENERATE = "generate"
    """Text in, text out (decoders, encoder-decoders, n-grams)."""
    EMBED = "embed"
    """Text in, vectors out (encoders)."""


class Api(StrEnum):
    """Whose protocol a route speaks."""

    OPENAI = "openai"
    """The body names the model; one base URL serves all models."""
    NATIVE = "native"
    """The engine's own (TGI, TEI); the URL names the model."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one replica takes on. Requests beyond running and queued are refused with 429."""

    max_input_tokens: int
    """Prompt tokens."""
    max_total_tokens: int
    """Prompt and generated tokens of one request."""
    max_concurrent_requests: int
    """Requests that run at once."""
    max_queued_requests: int = 64
    """Requests that wait for a running one to end."""
    max_batch_prefill_tokens: int | None = None
    """Prompt tokens of one pass (with TEI, of one batch); None leaves it to the engine. The local engine has none."""


@dataclass(frozen=True, slots=True)
class Replica:
    """One model server as the planner wants it."""

    model: str
    """The name that clients use."""
    weights: str
    """Folder of a stored version with its manifest, as the server sees it (see serving.store): /models/… in pods."""
    port: int | str
    """Listen port, or a placeholder such as "{port}" that the platform fills in; in pods CONTAINER_PORT."""
    limits: Limits
    shards: int = 1
    """GPUs that hold one copy of the weights together."""
    options: Mapping[str, str] = field(default_factory=dict)
    """The engine's own options by their flag names without dashes in front ("token-delay-ms": "20"), and `dtype` and
    `quantize` in the kit's words, which each adapter translates."""
    gpu: bool = True
    """Whether the replica has an accelerator. The local engine never uses one; TEI runs without, too."""
    hosts: int = 1
    """Nodes over which the shards are spread evenly; more than one needs a LeaderWorkerSet."""


@dataclass(frozen=True, slots=True)
class Probes:
    """How to tell that a replica has started, is alive and may be sent requests."""

    path: str
    """GET, 200 when well."""
    startup_seconds: int
    """The longest start that is still not a failure: weights are read and warmed up before the port opens."""
    period_seconds: int
    timeout_seconds: int
    failures: int
    """Consecutive failed probes after which a started replica counts as dead."""


@dataclass(frozen=True, slots=True)
class Drain:
    """How a replica is stopped without cutting a stream. The steps run in this order."""

    prestop_seconds: int
    """Wait between leaving discovery and the signal: routers need this long to stop sending."""
    signal: str
    engine_seconds: int
    """What the engine gives its open requests after the signal before it ends them itself."""
    grace_seconds: int
    """From the start of the wait until the process may be killed; more than both together."""


CONTAINER_PORT = 8080
"""Where an engine listens in its pod; one that is not root cannot bind the images' own port 80."""


@dataclass(frozen=True, slots=True)
class Container:
    """What a pod of the engine needs besides command, environment and devices. The rest of its root is read-only."""

    user: int = 10001
    """User and group id. No image has this user, so its name and home stand in `env`."""
    writable: tuple[str, ...] = ("/tmp", "/cache")  # noqa: S108 - folders of the pod's own
    """Folders to mount empty ones at: sockets and scratch files, compiled kernels."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Where the engine and its libraries keep what they write, so that all of it lies in `writable`."""
    shm: bool = False
    """Whether the engine's processes exchange tensors by /dev/shm, whose default of 64 MiB is too small."""


@dataclass(frozen=True, slots=True)
class Route:
    """A request that a gateway may let through to the engine. Everything else (metrics, docs) stays inside."""

    method: str
    path: str
    api: Api
    stream: bool = False
    """May answer with server-sent events, so it needs a timeout that fits streams."""


@dataclass(frozen=True, slots=True)
class Option:
    """An option of an engine that a stack file may set."""

    help: str
    check: Callable[[str], str | None] = lambda _: None
    """The rule that the value breaks, or None."""


class Engine(ABC):
    """One kind of model server."""

    name: str
    """As written in a stack file."""
    tasks: frozenset[Task]
    options: ClassVar[Mapping[str, Option]]
    """What `Replica.options` may hold."""
    managed: ClassVar[Mapping[str, str]]
    """Options that exist but that the kit sets itself, each with where to set it instead."""
    foreign: ClassVar[Mapping[str, str]] = {}
    """Options of the engine that this one may take the place of, each with what to write here instead."""

    @abstractmethod
    def command(self, replica: Replica) -> tuple[str, ...]:
        """The whole argv. Empty: the image's own entrypoint, and everything goes by environment.

        Raises EngineError when the replica is not possible with this engine.
        """

    def container_command(self, replica: Replica) -> tuple[str, ...]:
        """The whole argv in a container of `image`; empty for the image's own. Raises EngineError as `command` does."""
        return self.command(replica)

    def worker_command(self, replica: Replica) -> tuple[str, ...]:
        """The whole argv on the second and further nodes of a replica, whose first runs `container_command`.

        Both may hold $(LWS_LEADER_ADDRESS) and $(LWS_WORKER_INDEX), which a LeaderWorkerSet gives its pods and the
        kubelet fills in. Raises EngineError where the engine cannot span nodes.
        """
        raise EngineError(f"{replica.model} on engine {self.name}: {_ONE_NODE}")

    @abstractmethod
    def env(self, replica: Replica) -> dict[str, str]:
        """Environment variables besides the inherited ones; never a secret. Raises EngineError as `command` does."""

    def container_env(self, replica: Replica) -> dict[str, str]:
        """`env` and where to write, sorted, so that rendered manifests do not churn."""
        return dict(sorted({**self.container.env, **self.env(replica)}.items()))

    @abstractmethod
    def image(self, capability: float | None) -> str:
        """Name in images/images.lock of the image for a GPU of a CUDA compute capability; None: no GPU.

        Raises EngineError where the engine has no image for it.
        """

    @property
    @abstractmethod
    def container(self) -> Container:
        """What its pods need."""

    @property
    @abstractmethod
    def probes(self) -> Probes:
        """Health checks."""

    @property
    @abstractmethod
    def drain(self) -> Drain:
        """The way to stop a replica."""

    @abstractmethod
    def metrics(self, task: Task) -> MetricNames:
        """Metric names while serving `task`; EngineError when the engine does not serve it."""

    @abstractmethod
    def routes(self, task: Task) -> tuple[Route, ...]:
        """Routes that a gateway may expose; EngineError when the engine does not serve the task."""

    def _serves(self, task: Task) -> None:
        if task not in self.tasks:
            raise EngineError(
                f"engine {self.name} does not serve task {task}; it serves {', '.join(sorted(self.tasks))}"
            )

    def check(self, replica: Replica) -> None:
        """Raise EngineError with every reason why this engine cannot serve `replica`."""
        limits = replica.limits
        errors = [
            f"{name} is {value}; it must be at least {least}"
            for name, value, least in (
                ("max_input_tokens", limits.max_input_tokens, 1),
                ("max_total_tokens", limits.max_total_tokens, 2),
                ("max_concurrent_requests", limits.max_concurrent_requests, 1),
                ("max_queued_requests", limits.max_queued_requests, 0),
                ("shards", replica.shards, 1),
                ("hosts", replica.hosts, 1),
            )
            if value < least
        ]
        if limits.max_input_tokens > limits.max_total_tokens:
            errors.append(
                f"max_input_tokens is {limits.max_input_tokens}; it must not be above max_total_tokens "
                f"({limits.max_total_tokens})"
            )
        if replica.hosts > 1:
            errors += self._span_errors(replica)
        errors += self._impossible(replica)
        errors += self._option_errors(replica.options)
        if errors:
            raise EngineError("\n".join(f"{replica.model} on engine {self.name}: {error}" for error in errors))

    def _impossible(self, replica: Replica) -> Iterable[str]:  # noqa: ARG002 - for engines that override it
        """What this engine, unlike others, cannot do."""
        return ()

    def _span_errors(self, replica: Replica) -> Iterable[str]:
        if not self._spans_nodes():
            yield f"hosts is {replica.hosts}; {_ONE_NODE}"
        elif replica.shards % replica.hosts:
            yield f"shards is {replica.shards}, which cannot be spread evenly over {replica.hosts} hosts"

    def _spans_nodes(self) -> bool:
        """Whether one replica may run on several nodes."""
        return False

    def _option_errors(self, options: Mapping[str, str]) -> Iterable[str]:
        for name, value in options.items():
            if name in self.managed:
                yield f"option {name!r} is set by the kit; {self.managed[name]}"
            elif name in self.foreign:
                yield f"option {name!r} is another engine's; {self.foreign[name]}"
            elif name not in self.options:
                yield f"unknown option {name!r}{suggestion(name, self.options)}"
            elif broken := self.options[name].check(value):
                yield f"option {name!r} is {value!r}; {broken}"


_ONE_NODE = "this engine cannot spread a replica over nodes, so it must be 1; engine vllm can"


def suggestion(wrong: str, known: Iterable[str]) -> str:
    """The end of an error about an unknown name: "; did you mean …?" or the list of known names."""
    names = sorted(known)
    close = difflib.get_close_matches(wrong, names, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(names) or 'none'}"
