"""What a model server is to the rest of the kit: command, environment, probes, drain, limits, metric names, routes.

An adapter is pure: it turns a `Replica` into plain strings and knows nothing of processes, containers or Pulumi. The
local platform runs `command` as a process, Kubernetes puts it into a container's args; both take the same `env`.
"""

import difflib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar


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
    """Prompt tokens of one prefill pass; None leaves it to the engine. The local engine has no such pass."""


@dataclass(frozen=True, slots=True)
class Replica:
    """One model server as the planner wants it."""

    model: str
    """The name that clients use."""
    weights: str
    """Folder of a stored version with its manifest, as the server sees it (see serving.store)."""
    port: int | str
    """Listen port, or a placeholder such as "{port}" that the platform fills in."""
    limits: Limits
    shards: int = 1
    """GPUs that hold one copy of the weights together."""
    options: Mapping[str, str] = field(default_factory=dict)
    """The engine's own options by their flag names without dashes in front ("token-delay-ms": "20")."""


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


@dataclass(frozen=True, slots=True)
class MetricNames:
    """Metric names by role, for rules, dashboards and autoscaling. None: this engine does not export it."""

    path: str
    running: str
    """Gauge: requests in the running batch."""
    waiting: str
    """Gauge: requests in the engine's queue."""
    success: str
    """Counter: finished requests."""
    failure: str
    """Counter by `failure_label`."""
    failure_label: str
    client_failures: tuple[str, ...]
    """Values of `failure_label` that are the client's doing; they never burn an error budget."""
    overload_failures: tuple[str, ...]
    """Values of `failure_label` that mean: too few replicas."""
    duration: str
    """Histogram, seconds: arrival to last token, successes only."""
    queue_duration: str
    """Histogram, seconds."""
    input_tokens: str
    """Histogram, tokens a request; `_sum` is the counter of prompt tokens."""
    generated_tokens: str | None
    """Histogram, tokens a request."""
    itl: str | None
    """Histogram, seconds: mean of one request."""
    ttft: str | None
    """Histogram, seconds."""
    cached_prompt_tokens: str | None
    """Counter: prompt tokens whose prefill was saved by the prefix cache."""


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

    @abstractmethod
    def command(self, replica: Replica) -> tuple[str, ...]:
        """Arguments: the whole argv where the engine runs as a host process, container args where it is an image.

        Raises EngineError when the replica is not possible with this engine.
        """

    @abstractmethod
    def env(self, replica: Replica) -> dict[str, str]:
        """Environment variables besides the inherited ones; never a secret. Raises EngineError as `command` does."""

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
            )
            if value < least
        ]
        if limits.max_input_tokens > limits.max_total_tokens:
            errors.append(
                f"max_input_tokens is {limits.max_input_tokens}; it must not be above max_total_tokens "
                f"({limits.max_total_tokens})"
            )
        errors += self._impossible(replica)
        errors += self._option_errors(replica.options)
        if errors:
            raise EngineError("\n".join(f"{replica.model} on engine {self.name}: {error}" for error in errors))

    def _impossible(self, replica: Replica) -> Iterable[str]:  # noqa: ARG002 - for engines that override it
        """What this engine, unlike others, cannot do."""
        return ()

    def _option_errors(self, options: Mapping[str, str]) -> Iterable[str]:
        for name, value in options.items():
            if name in self.managed:
                yield f"option {name!r} is set by the kit; {self.managed[name]}"
            elif name not in self.options:
                yield f"unknown option {name!r}{suggestion(name, self.options)}"
            elif broken := self.options[name].check(value):
                yield f"option {name!r} is {value!r}; {broken}"


def suggestion(wrong: str, known: Iterable[str]) -> str:
    """The end of an error about an unknown name: "; did you mean …?" or the list of known names."""
    names = sorted(known)
    close = difflib.get_close_matches(wrong, names, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(names) or 'none'}"


def one_of(*values: str) -> Callable[[str], str | None]:
    """A check that the value is one of `values`."""
    return lambda value: None if value in values else f"it must be one of {', '.join(values)}"


def number(least: float, most: float, *, whole: bool = True) -> Callable[[str], str | None]:
    """A check that the value is a number between `least` and `most`, both included."""

    def check(value: str) -> str | None:
        rule = f"it must be a {'whole ' if whole else ''}number from {least:g} to {most:g}"
        try:
            parsed = int(value) if whole else float(value)
        except ValueError:
            return rule
        return None if least <= parsed <= most else rule

    return check
