"""The models a stack serves."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from infra.settings.frozen import FrozenDict
from infra.settings.gpus import GPU_TYPES
from infra.settings.kinds import Bytes, Flag, Kind, Seconds, Tokens, choice, fail, real, whole, write_flag
from infra.settings.messages import shown
from infra.settings.replicas import Replicas, ReplicasField
from infra.settings.routing import RoutingField
from infra.settings.scaling import Scaling
from infra.settings.section import Section
from infra.settings.source import SourceField


class Engine(StrEnum):
    """Model servers."""

    TGI = "tgi"
    VLLM = "vllm"
    TEI = "tei"
    LOCAL = "local"


class Rollout(StrEnum):
    """Ways to replace running replicas."""

    SURGE = "surge"
    IN_PLACE = "in_place"
    BLUE_GREEN = "blue_green"


class Objectives(Section):
    """What the clients of a model are promised; the plan is sized to keep it."""

    ttft_p95: Seconds | None = None
    """95th percentile of the time to the first token (for embeddings: to the answer), such as 1s. Default: none."""
    itl_p95: Seconds | None = None
    """95th percentile of the time between tokens of a stream, such as 80ms. Default: none."""
    availability: Annotated[float, real(50, 100, 99.5, note=" percent")] | None = None
    """Percent of requests answered, over 30 days, such as 99.5. Default: none."""


class Traffic(Section):
    """The load to plan for, at its peak."""

    requests_per_second: Annotated[
        float, real(0, 1_000_000, 4, above=True, note="; leave traffic out where the load is not known")
    ] = Field(examples=[4])
    """Requests a second, of all clients together."""
    prompt_tokens: Tokens = Field(examples=[1200])
    """Mean tokens of a prompt."""
    output_tokens: Tokens | None = Field(default=None, examples=[250])
    """Mean tokens of an answer. Required, except for embeddings, which have none."""
    prefix_hit_share: Annotated[float, real(0, 0.99, 0.3, note=", a share of 1")] = 0.0
    """Share of prompt tokens that a replica has cached from earlier prompts, 0 to 0.99. Default: 0."""


class Canary(Section):
    """A second revision of the model that takes a share of the requests."""

    source: SourceField = Field(examples=["hf://organisation/name@<40 hex digits>"])
    """Weights of the new revision, in the forms of the model's own source."""
    weight: Annotated[float, real(0, 99, 5, above=True, note=" percent")] = Field(examples=[5])
    """Percent of the model's requests that it answers, more than 0 to 99."""
    replicas: Annotated[int, whole(1, 1000, 1)] = 1
    """Its replicas, fixed. Default: 1."""


class Shadow(Section):
    """A revision that gets copies of requests; its answers are dropped."""

    source: SourceField = Field(examples=["hf://organisation/name@<40 hex digits>"])
    """Weights of the shadow, in the forms of the model's own source."""
    share: Annotated[float, real(0, 100, 10, above=True, note=" percent")] = Field(examples=[10])
    """Percent of the model's requests that are copied to it, more than 0 to 100."""
    replicas: Annotated[int, whole(1, 1000, 1)] = 1
    """Its replicas, fixed. Default: 1."""


def _option(value: Any) -> str:
    if not isinstance(value, str | int | float):
        fail(f"{shown(value)} is not text or a number")
    return write_flag(value) if isinstance(value, bool) else str(value)


def _option_name(value: Any) -> str:
    # Engines spell them --in-this-way or IN_THAT_WAY; here there is one spelling.
    name = str(value).removeprefix("--").replace("_", "-").lower()
    if name != value:
        fail(f"{shown(value)} is not spelled as an option here; write {name}")
    return name


Option = Annotated[str, Kind(_option, {"type": ["string", "number", "boolean"]})]
OptionName = Annotated[str, Kind(_option_name, {"type": "string", "pattern": "^[a-z0-9][a-z0-9-]*$"})]


def _shape(value: Any) -> FrozenDict[str, Any]:
    if not isinstance(value, dict):
        fail(
            f"{shown(value)} is not a mapping; write the keys of the model's config.json, such as num_hidden_layers: 32"
        )
    return FrozenDict((key, _frozen(below)) for key, below in value.items())


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return FrozenDict((key, _frozen(below)) for key, below in value.items())
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


Shape = Annotated[FrozenDict[str, Any], Kind(_shape, {"type": "object"})]


def _gpu(data: dict[str, Any]) -> str:
    return "none" if data.get("engine") is Engine.LOCAL else "auto"


def _max_output(data: dict[str, Any]) -> int | None:
    return None if data.get("engine") is Engine.TEI else max(1, data["context"] // 2) if "context" in data else None


def _default_output(data: dict[str, Any]) -> int | None:
    most = data.get("max_output_tokens")
    return None if most is None else min(256, most)


class Model(Section):
    """One served model."""

    engine: Annotated[Engine, choice(Engine, "an engine")] = Field(examples=["tgi"])
    """The server: tgi, vllm (text generation on GPUs), tei (embeddings) or local (CPUs; in a cluster the kit's own
    small models). From tgi to vllm is this one word: serving/engines/README.md says what differs."""
    source: SourceField = Field(examples=["hf://organisation/name@<40 hex digits>"])
    """Where the weights come from: store://name[@version] (in a cluster one of the kit's own models),
    hf://organisation/name@commit, s3://bucket/prefix, file:///folder. A commit is needed, so that the weights cannot
    change under a running stack."""
    context: Annotated[int, whole(8, 10_000_000, 8192)] = Field(examples=[8192])
    """Tokens of a request, prompt and answer together."""
    max_output_tokens: Tokens | None = Field(default_factory=_max_output)
    """Most tokens of an answer; the gateway lowers what a client asks beyond it. Default: half of the context."""
    default_output_tokens: Tokens | None = Field(default_factory=_default_output)
    """Tokens of an answer where the client does not say. Default: 256, or max_output_tokens if that is less."""
    concurrency: Annotated[int, whole(1, 4096, 16)] = 16
    """Requests that one replica works on at a time; more wait in its queue. Default: 16."""
    replicas: ReplicasField = Replicas(min=1, max=1)
    """Copies of the server: {min: 1, max: 6}, or one number for a fixed count. Default: 1."""
    scaling: Scaling | None = Field(default=None, examples=["{in_flight: 12, cooldown: 30m}"])
    """How replicas follow the load, and the clock; not on local. Default: by the plan, without floors."""
    gpu: Annotated[str, choice(("auto", "none", *GPU_TYPES), "a GPU type")] = Field(default_factory=_gpu)
    """GPU type, auto (the plan picks the cheapest that keeps the objectives) or none. Default: auto; on local: none."""
    shards: Annotated[int, whole(1, 64, 4)] | None = None
    """GPUs over which each replica is split. Default: the plan picks the fewest that fit."""
    dtype: Annotated[str, choice(("bfloat16", "float16", "float32"), "a number type")] | None = None
    """Number type of the weights in memory. Default: as stored."""
    quantize: (
        Annotated[str, choice(("awq", "gptq", "fp8", "bitsandbytes", "compressed-tensors"), "a quantisation")] | None
    ) = None
    """How the weights are quantised: awq, gptq, compressed-tensors (stored so), fp8, bitsandbytes (done at load).
    Default: not."""
    spot: Flag = False
    """Whether all replicas but the last may run on spot capacity, which the cloud can take back. Default: false."""
    objectives: Objectives = Objectives()
    """What clients are promised, such as {ttft_p95: 1s, itl_p95: 80ms, availability: 99.5}. Default: nothing."""
    traffic: Traffic | None = Field(
        default=None, examples=["{requests_per_second: 4, prompt_tokens: 1200, output_tokens: 250}"]
    )
    """The load to plan for. Default: unknown; the plan then sizes for one full replica."""
    routing: RoutingField | None = None
    """Routing policy of this model. Default: gateway.routing."""
    canary: Canary | None = None
    """A second revision that answers a share of the requests. Default: none."""
    shadow: Shadow | None = None
    """A revision that gets copies of requests; its answers are dropped. Default: none."""
    rollout: Annotated[Rollout, choice(Rollout, "a rollout")] = Rollout.SURGE
    """surge (default): new replicas first, which needs free GPUs. in_place: old ones first, which costs capacity.
    blue_green: all new ones beside the old ones, then the switch."""
    memory: Bytes | None = None
    """Memory of one server process, such as 300MiB; on local only. Default: measured from the weights."""
    shape: Shape | None = None
    """Sizes of the network as in its config.json (num_hidden_layers, …), where the kit does not know the model."""
    options: Annotated[dict[OptionName, Option], AfterValidator(FrozenDict)] = FrozenDict()
    """More options of the engine, passed as --name value. What the kit sets itself is refused."""
