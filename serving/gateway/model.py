"""A model as clients see it."""

from dataclasses import dataclass, field

from serving.engines import Api, Engine, Task
from serving.gateway.care import Caps, Dns, Health, Hold, Retries, Timeouts, Tokens
from serving.gateway.routing import Routing


@dataclass(frozen=True, slots=True)
class Model:
    """A model as clients see it."""

    name: str
    task: Task = Task.GENERATE
    openai: tuple[str, ...] = ()
    """"METHOD /path" under the OpenAI base URL, where the body names the model."""
    native: tuple[str, ...] = ()
    """"METHOD /path" under /models/<name>/."""
    routing: Routing = field(default_factory=Routing)
    timeouts: Timeouts = field(default_factory=Timeouts)
    retries: Retries = field(default_factory=Retries)
    health: Health = field(default_factory=Health)
    max_requests: int = 1024
    """Requests in flight and waiting for a connection; more get 503."""
    hold: Hold = field(default_factory=Hold)
    tokens: Tokens = field(default_factory=Tokens)
    caps: Caps = field(default_factory=Caps)
    fallback: tuple[str, ...] = ()
    """Models that answer in its place when it has no backend, is full, or fails before its first byte, in order.
    The last may be a provider."""
    dns: Dns | None = None
    """Where backends come from; None: the registry."""
    canary_percent: float = 0.0
    """Share of the requests that go to the new revision, whose backends are those of `canary` in the registry."""
    shadow_percent: float = 0.0
    """Share of the requests that are also sent to the backends of `shadow`; their answers are dropped."""

    @property
    def canary(self) -> str:
        """Name of the new revision in registry and statistics."""
        return f"{self.name}.canary"

    @property
    def shadow(self) -> str:
        """Name of the shadow in registry and statistics."""
        return f"{self.name}.shadow"

    @property
    def backends(self) -> tuple[str, ...]:
        """The names under which the model has backends in the registry."""
        return (
            *((self.name,) if self.dns is None else ()),
            *((self.canary,) if self.canary_percent else ()),
            *((self.shadow,) if self.shadow_percent else ()),
        )

    @classmethod
    def of(cls, name: str, engine: Engine, task: Task, **fields: object) -> "Model":
        """A model served by `engine`: its routes and health path; `fields` as for the class."""
        routes = engine.routes(task)
        lines = {api: tuple(f"{r.method} {r.path}" for r in routes if r.api is api) for api in Api}
        health = Health(path=engine.probes.path)
        return cls(
            name=name,
            task=task,
            **{"openai": lines[Api.OPENAI], "native": lines[Api.NATIVE], "health": health} | fields,  # type: ignore[arg-type]
        )
