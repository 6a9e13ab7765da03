"""The gateway: addresses, keys, limits and what happens when a model is not there."""

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from infra.settings.frozen import FrozenDict
from infra.settings.kinds import Bytes, Host, Name, Port, Seconds, SecretName, choice, duration, size, text, whole
from infra.settings.replicas import Replicas, ReplicasField
from infra.settings.routing import Routing, RoutingField
from infra.settings.secret import Secret
from infra.settings.section import ByName, Section


class Priority(StrEnum):
    """Which tenants are shed first when the servers are full."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


class Tenant(Section):
    """Who may call the models, and how much."""

    key: Secret
    """The tenant's bearer key, encrypted: pulumi config set --secret --path berth:gateway.tenants.NAME.key"""
    next_key: Secret | None = None
    """A second valid key while clients change over; make it `key` when they have. Default: none."""
    requests_per_minute: Annotated[int, whole(1, 10_000_000, 600)] | None = None
    """Most requests a minute; with several copies of the gateway each counts its share, by the least number of them.
    Default: no limit."""
    tokens_per_minute: Annotated[int, whole(1, 10_000_000_000, 200_000)] | None = None
    """Most tokens a minute, prompts and answers together. Default: no limit."""
    priority: Annotated[Priority, choice(Priority, "a priority")] = Priority.NORMAL
    """low, normal (default) or high: when servers are full, low is refused first and high last."""


class Provider(Section):
    """A remote service with the OpenAI API, for the end of a fallback chain."""

    url: Annotated[
        str,
        text(
            r"(https://[A-Za-z0-9.-]+|http://(127\.0\.0\.1|localhost))(:[0-9]{1,5})?(/[A-Za-z0-9._/-]*)?",
            "is not a base URL; write one such as https://api.example.com/v1, with https, without a key in it",
        ),
    ] = Field(examples=["https://api.example.com/v1"])
    """Base URL of the service, up to and with its version: https://api.example.com/v1"""
    model: Annotated[str, text(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}", "is not a model's name")] = Field(
        examples=["some-model"]
    )
    """The model's name there."""
    key: Secret
    """The bearer key of the service, encrypted: pulumi config set --secret --path berth:gateway.providers.NAME.key"""


class Timeouts(Section):
    """How long the gateway waits, by stage of a request."""

    connect: Seconds = 2.0
    """For a connection to a server. Default: 2s."""
    first_token: Annotated[float, duration("100ms")] = 60.0
    """For the first byte of an answer, queue and prompt work included. Default: 60s."""
    idle: Annotated[float, duration("100ms")] = 60.0
    """For the next byte of a stream. Default: 60s."""
    stream: Annotated[float, duration("1s")] = 1800.0
    """For a whole answer. Default: 30m."""


class Retries(Section):
    """Second attempts, before the first byte of an answer only."""

    attempts: Annotated[int, whole(0, 10, 2)] = 2
    """Most retries of one request; 0 turns them off. Default: 2."""
    budget: Annotated[int, whole(1, 100, 20)] = 20
    """Percent of the requests in flight that may be retries, so that retries cannot pile up. Default: 20."""


class Hold(Section):
    """Requests for a model that has no server up wait for one."""

    ttl: Seconds = 30.0
    """Longest wait; then 503 with Retry-After. Default: 30s."""
    requests: Annotated[int, whole(0, 100_000, 100)] = 100
    """Most requests waiting per model; more get 503 at once, 0 turns waiting off. Default: 100."""


class Caps(Section):
    """The most that one request may ask for beyond a plain answer; more gets 400. An engine's own limits hold too."""

    choices: Annotated[int, whole(1, 1024, 8)] = 8
    """Answers to one prompt (n, best_of). Default: 8."""
    stop_sequences: Annotated[int, whole(0, 1024, 16)] = 16
    """Stop sequences. Default: 16."""
    top_tokens: Annotated[int, whole(0, 1000, 20)] = 20
    """Alternatives told for every token (top_logprobs, top_n_tokens). Default: 20."""
    grammar: Annotated[Bytes, size("1B")] = 65_536
    """Schemas and grammars that the answer must follow, together. Default: 64KiB."""


Chain = tuple[Name, ...]


class Gateway(Section):
    """The one address in front of all models."""

    host: Host | None = None
    """Public name, such as api.example.com. Required on kubernetes and aws; on local the address is 127.0.0.1."""
    port: Port = 8080
    """Port on this machine, 1024 to 65535; on local only. Default: 8080."""
    replicas: ReplicasField = Replicas(min=2, max=4)
    """Copies of the gateway, on kubernetes and aws. Default: {min: 2, max: 4}."""
    certificate: SecretName | None = Field(default=None, examples=["api-tls"])
    """Name of a Secret of type kubernetes.io/tls in the stack's namespace, for HTTPS on port 443; renewals are taken
    over while it runs. Default: plain HTTP on port 80, for a load balancer that ends TLS itself."""
    workers: Annotated[int, whole(1, 64, 2)] = 2
    """Worker threads of each copy. Default: 2."""
    routing: RoutingField = Routing()
    """Routing policy of all models that name none. Default: estimated_ttft."""
    tenants: ByName[Tenant] = Field(default=FrozenDict(), examples=["{acme: {requests_per_minute: 600}}"])
    """Who may call, by name. Without tenants no key is accepted; on local the kit makes one key itself."""
    fallback: Annotated[dict[Name, Chain], AfterValidator(FrozenDict)] = Field(
        default=FrozenDict(), examples=["{chat: [small]}"]
    )
    """For each model, the models that answer in its place when it cannot, in order; the last may be a provider.
    Default: none."""
    providers: ByName[Provider] = Field(
        default=FrozenDict(), examples=["{other: {url: https://api.example.com/v1, model: m}}"]
    )
    """Remote services with the OpenAI API, by name, for the end of fallback chains. Default: none."""
    timeouts: Timeouts = Timeouts()
    """How long the gateway waits."""
    retries: Retries = Retries()
    """Second attempts, before the first byte of an answer only."""
    hold: Hold = Hold()
    """Waiting for a model that has no server up."""
    caps: Caps = Caps()
    """The most that one request may ask for beyond a plain answer."""
    max_body: Annotated[Bytes, size("1kB")] = 10_000_000
    """Largest request body; a larger one gets 413. Default: 10MB."""
