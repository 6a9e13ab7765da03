"""What a gateway is asked to be: plain, frozen values, which the builders turn into Envoy's configuration."""

import re
from dataclasses import dataclass, field
from enum import StrEnum

from serving.engines import Api, Engine, Task

NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,62}[a-z0-9])?")
"""Names of models and tenants: they become file names, header values and metric labels."""
DIGEST = re.compile(r"[0-9a-f]{64}")


class SpecError(ValueError):
    """A gateway that cannot be; `str()` lists every reason, one a line."""


class Policy(StrEnum):
    """How a backend is chosen among the healthy ones of a model."""

    ESTIMATED_TTFT = "estimated_ttft"
    """The one that will give the first token first, by its outstanding prompt work and the prefixes it has cached."""
    ROUND_ROBIN = "round_robin"
    WEIGHTED = "weighted"
    """In turn, by the weights of the endpoints."""
    LEAST_REQUEST = "least_request"
    CONSISTENT_HASH = "consistent_hash"


class HashOn(StrEnum):
    """What consistent_hash is taken of."""

    SESSION = "session"
    """The header x-session-id; requests without one by tenant."""
    TENANT = "tenant"
    CLIENT_ADDRESS = "client_address"
    HEADER = "header"
    """The header that `Routing.header` names; requests without it go anywhere."""


@dataclass(frozen=True, slots=True)
class Routing:
    """A policy with its parameters."""

    policy: Policy = Policy.ESTIMATED_TTFT
    on: HashOn = HashOn.SESSION
    """Only with consistent_hash."""
    header: str | None = None
    """Only with `on=header`, in small letters."""
    bounded_load: float | None = None
    """consistent_hash leaves a backend that has more than this many times the mean load; None: it never does."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long the gateway waits, in seconds, by stage of a request."""

    connect: float = 2.0
    first_token: float = 60.0
    """From the request's passing on to the first byte of the answer's body: queue and prompt work included."""
    idle: float = 60.0
    """Between two pieces of an answer."""
    stream: float = 1800.0
    """A whole answer."""


@dataclass(frozen=True, slots=True)
class Retries:
    """Second attempts, before the first byte of an answer only."""

    attempts: int = 2
    budget_percent: float = 20.0
    """Retries may be this share of the requests in flight (three are always allowed)."""


@dataclass(frozen=True, slots=True)
class Health:
    """Active health checks of the backends."""

    path: str = "/health"
    interval: float = 2.0
    """Seconds."""
    timeout: float = 2.0
    """Seconds."""
    unhealthy_after: int = 2
    """Failed checks in a row."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model as clients see it."""

    name: str
    openai: tuple[str, ...] = ()
    """"METHOD /path" under the OpenAI base URL, where the body names the model."""
    native: tuple[str, ...] = ()
    """"METHOD /path" under /models/<name>/."""
    routing: Routing = Routing()
    timeouts: Timeouts = Timeouts()
    retries: Retries = Retries()
    health: Health = Health()
    max_requests: int = 1024
    """Requests in flight and waiting for a connection; more get 503."""

    @classmethod
    def of(cls, name: str, engine: Engine, task: Task, **fields: object) -> "Model":
        """A model served by `engine`: its routes and health path; `fields` as for the class."""
        routes = engine.routes(task)
        lines = {api: tuple(f"{r.method} {r.path}" for r in routes if r.api is api) for api in Api}
        health = Health(path=engine.probes.path)
        return cls(
            name=name,
            **{"openai": lines[Api.OPENAI], "native": lines[Api.NATIVE], "health": health} | fields,  # type: ignore[arg-type]
        )


@dataclass(frozen=True, slots=True)
class Tenant:
    """Who may call."""

    name: str
    key_digests: tuple[str, ...] = field(repr=False)
    """SHA-256 of each valid key, in hexadecimal: one, or two while clients change over."""


@dataclass(frozen=True, slots=True)
class GatewaySpec:
    """The one address in front of all models."""

    port: int
    admin_port: int
    """On 127.0.0.1 whatever `host` is."""
    models: tuple[Model, ...]
    tenants: tuple[Tenant, ...]
    host: str = "127.0.0.1"
    access_log: str = "/dev/stdout"
    """A file, one JSON object a request."""
    workers: int = 2
    """Worker threads."""
    max_body_bytes: int = 10_000_000
    max_connections: int = 20_000
    """From clients; more are closed at once."""
    max_heap_bytes: int = 1 << 30
    """Envoy sheds load as its heap comes near this."""
    trusted_proxies: int = 0
    """Proxies in front whose X-Forwarded-For is believed."""
    drain_seconds: int = 600
    """How long listeners that change or drain keep their streams."""

    def __post_init__(self) -> None:
        if errors := list(_errors(self)):
            raise SpecError("\n".join(errors))


def _errors(spec: GatewaySpec) -> "list[str]":
    errors = []
    for kind, names in (("model", [m.name for m in spec.models]), ("tenant", [t.name for t in spec.tenants])):
        errors += [f"{kind} {n!r}: a name is 1 to 64 of a-z, 0-9, '-', '.'" for n in names if not NAME.fullmatch(n)]
        errors += [f"{kind} {n!r} appears twice; give each its own name" for n in {*names} if names.count(n) > 1]
    for tenant in spec.tenants:
        if not 1 <= len(tenant.key_digests) <= 2:
            errors.append(f"tenant {tenant.name!r} has {len(tenant.key_digests)} keys; it may have one or two")
        if not all(DIGEST.fullmatch(d) for d in tenant.key_digests):
            errors.append(f"tenant {tenant.name!r}: a key digest is 64 hexadecimal digits (SHA-256), never the key")
    digests = [d for t in spec.tenants for d in t.key_digests]
    if len(digests) != len(set(digests)):
        errors.append("two tenants have the same key; give each its own, or their limits and logs mix")
    for model in spec.models:
        routing = model.routing
        if (routing.header is not None) != (routing.on is HashOn.HEADER):
            errors.append(f"model {model.name!r}: routing.header goes with on=header, and only with it")
        if routing.bounded_load is not None and not routing.bounded_load > 1:
            errors.append(f"model {model.name!r}: bounded_load is {routing.bounded_load}; it must be above 1")
        hashed = routing != Routing(routing.policy)
        if hashed and routing.policy is not Policy.CONSISTENT_HASH:
            errors.append(f"model {model.name!r}: policy {routing.policy} takes no parameters")
        errors += [
            f"model {model.name!r}: route {line!r} must be 'METHOD /path'"
            for line in model.openai + model.native
            if not re.fullmatch(r"[A-Z]+ /[^\s?#]*", line)
        ]
    return errors
