"""How a model's requests are treated: time, attempts, health, waiting, lengths, caps, and where backends come from."""

from dataclasses import dataclass


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
class Hold:
    """Requests for a model that has no backend up wait for one; then 503 with Retry-After."""

    seconds: float = 0.0
    """0: they do not wait."""
    requests: int = 100
    """Most requests waiting; more are refused at once."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Limits on generated tokens, by changing the body. None: the engine's own."""

    default: int | None = None
    """For requests that set no limit."""
    most: int | None = None
    """Larger limits are lowered to this; requests without any get it when there is no default."""


@dataclass(frozen=True, slots=True)
class Caps:
    """The most that one request may ask for beyond a plain answer: each of these costs an engine time or memory out of
    proportion to the request's length. More gets 400."""

    choices: int = 8
    """Answers (n, best_of)."""
    stops: int = 16
    """Stop sequences."""
    top_tokens: int = 20
    """Alternatives told for every token (top_logprobs, logprobs, top_n_tokens)."""
    grammar_bytes: int = 65_536
    """Of the schemas and grammars that an answer must follow (response_format, guided_json, grammar …), together."""


@dataclass(frozen=True, slots=True)
class Dns:
    """Backends are the addresses of a name that Envoy resolves again and again (a headless service, say)."""

    name: str
    port: int
    resolvers: tuple[str, ...] = ()
    """"address:port" of name servers; none: the system's."""
    refresh: float = 5.0
    """Seconds."""
