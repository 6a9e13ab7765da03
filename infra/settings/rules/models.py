"""What fits together in one model."""

from collections.abc import Iterator

from infra.settings.draft import Draft
from infra.settings.messages import one_of
from infra.settings.models import Engine, Model
from infra.settings.settings import Platform
from infra.settings.translate import Finding
from serving.engines import ENGINES

_ENGINES = {
    Platform.LOCAL: (Engine.LOCAL,),
    # The local engine's image lets a cluster without GPUs run the whole stack; on aws the kit makes GPU nodes.
    Platform.KUBERNETES: (Engine.TGI, Engine.VLLM, Engine.TEI, Engine.LOCAL),
    Platform.AWS: (Engine.TGI, Engine.VLLM, Engine.TEI),
}
# What the servers take (facts of TGI's launcher and TEI's router); the local engine's models say theirs.
_DTYPES = {Engine.TGI: ("bfloat16", "float16"), Engine.TEI: ("float16", "float32")}
_CPU_DTYPES = {Engine.TEI: ("float32",)}
_GENERATING = (Engine.TGI, Engine.VLLM)
# Names of the kit's own services, beside which the models' stand.
TAKEN = ("default", "deny-all", "gateway", "gateway-peers", "model-store", "prometheus")


def models(draft: Draft) -> Iterator[Finding]:
    """Engine, GPU, replicas, limits, objectives and traffic of each model."""
    if draft.sound("models") and not draft.settings.models:
        yield ("models",), "is empty; a stack serves one model at least"
    for name, model in draft.settings.models.items():
        at = ("models", name)
        for path, text in _model(draft, name, model):
            yield (*at, *path), text


def _model(draft: Draft, name: str, model: Model) -> Iterator[Finding]:
    if name in TAKEN:
        yield (), f"'{name}' is the name of a part of the kit; use another, such as '{name}-model'"
    if draft.sound("models", name, "engine"):
        yield from _engine(draft, name, model)
    if draft.platform is Platform.LOCAL:
        yield from _fixed(model)
    if model.replicas.min > model.replicas.max:
        yield ("replicas",), f"has min {model.replicas.min} above max {model.replicas.max}; write min ≤ max"
    yield from _tokens(model)


def _engine(draft: Draft, name: str, model: Model) -> Iterator[Finding]:
    engine = model.engine
    allowed = _ENGINES.get(draft.platform, tuple(Engine)) if draft.platform else tuple(Engine)
    if engine not in allowed:
        yield ("engine",), f"'{engine}' does not run on platform {draft.platform}; {one_of(engine, allowed)}"
    if engine is Engine.LOCAL:
        if model.gpu != "none":
            yield ("gpu",), f"'{model.gpu}' cannot be used by engine local, which runs on the CPU; remove the line"
        for key in ("shards", "quantize", "dtype"):
            if draft.written("models", name, key):
                yield (key,), "is for engines on GPUs, but this model's engine is local; remove the line"
    if engine in _GENERATING:
        if model.gpu == "none":
            yield ("gpu",), f"'none' does not go with engine {engine}, which needs a GPU; write auto or a GPU type"
        if model.traffic and model.traffic.output_tokens is None:
            yield (
                ("traffic", "output_tokens"),
                "is missing; write the mean tokens of an answer, such as output_tokens: 250",
            )
    yield from _numbers(model)
    if engine is Engine.TEI:
        yield from _embedding(draft, name, model)
        if model.gpu == "none" and model.shards:
            yield ("shards",), "splits a model over GPUs, but gpu is none; remove the line"


def _numbers(model: Model) -> Iterator[Finding]:
    engine, dtype, method = model.engine, model.dtype, model.quantize
    dtypes = _CPU_DTYPES.get(engine) if model.gpu == "none" else _DTYPES.get(engine)
    if dtypes and dtype and dtype not in dtypes:
        by = f"engine {engine} without a GPU" if model.gpu == "none" else f"engine {engine}"
        yield ("dtype",), f"'{dtype}' is not a number type of {by}; {one_of(dtype, dtypes)}"
    elif engine is Engine.TGI and dtype and method:
        yield ("dtype",), f"'{dtype}' does not go with quantize on engine tgi; remove one of the two"
    option = ENGINES[engine].options.get("quantize")
    broken = option.check(method) if option and method else None
    if broken:
        yield ("quantize",), f"'{method}' is not done by engine {engine}; {broken}"


def _embedding(draft: Draft, name: str, model: Model) -> Iterator[Finding]:
    for path, given in {
        ("max_output_tokens",): model.max_output_tokens,
        ("default_output_tokens",): model.default_output_tokens,
        ("objectives", "itl_p95"): model.objectives.itl_p95,
        ("traffic", "output_tokens"): model.traffic and model.traffic.output_tokens,
        ("quantize",): model.quantize,
    }.items():
        # A default that was computed is not the operator's mistake.
        if given is not None and ("models", name, *path) in draft.tree.origins:
            yield path, "is for text generation, but engine tei serves embeddings; remove it"


def _fixed(model: Model) -> Iterator[Finding]:
    if model.replicas.min < model.replicas.max:
        way_out = f"write a fixed number, such as replicas: {max(1, model.replicas.min)}"
        yield ("replicas",), f"asks for scaling, which local has not; {way_out}"
    elif model.replicas.min == 0:
        yield ("replicas",), "keeps no server running; write 1 or more, or remove the model"


def _tokens(model: Model) -> Iterator[Finding]:
    most, default = model.max_output_tokens, model.default_output_tokens
    if most is not None and most >= model.context:
        yield ("max_output_tokens",), f"{most} leaves no room for a prompt in a context of {model.context}; write less"
    if most is not None and default is not None and default > most:
        yield ("default_output_tokens",), f"{default} is more than max_output_tokens, {most}; write at most {most}"
    if model.traffic:
        asked = model.traffic.prompt_tokens + (model.traffic.output_tokens or 0)
        if asked > model.context:
            text = f"has {asked} tokens a request, more than the context of {model.context}"
            yield ("traffic",), f"{text}; raise context, or write less"
