"""What plans know of engines: one word moves a stack from TGI to vLLM; options, batches and images suit each."""

from pathlib import Path

import pytest

from infra.planning import Plan, PlanError, plan
from infra.planning.catalogue import gpus
from infra.planning.checks import check_request
from infra.planning.engine_check import planned_replica
from infra.planning.engine_options import engine_options
from infra.planning.fit import UTILISATION, Fit, Misfit, batch_tokens_of, fit
from infra.planning.report import report
from infra.planning.request import Demand, ModelRequest, Objectives
from infra.planning.shapes import find_shape, shape_from_folder
from infra.settings import Settings, load
from serving.engines import engine
from serving.engines.vllm import MEMORY_SHARE
from serving.store.kit import KIT

ROOT = Path(__file__).resolve().parents[3]
LLAMA_8B = "meta-llama/Llama-3.1-8B-Instruct"
BGE = "BAAI/bge-base-en-v1.5"
CLUSTER = """
config:
  berth:platform: kubernetes
  berth:kubernetes: {context: dev}
  berth:gateway: {host: llm.example.com}
  berth:models:
"""


def request(name: str, model: str = LLAMA_8B, **changes: object) -> ModelRequest:
    fields: dict[str, object] = {
        "name": "chat", "engine": name, "source": model, "shape": find_shape(model, "models.chat.source"),
        "context": 8192, "concurrency": 16,
    }  # fmt: skip
    return ModelRequest(**(fields | changes))  # type: ignore[arg-type]


def loaded(text: str, folder: Path, stack: str = "x") -> Settings:
    (folder / "stacks").mkdir()
    (folder / "stacks" / "defaults.yaml").write_text((ROOT / "stacks" / "defaults.yaml").read_text())
    (folder / "stacks" / f"Pulumi.{stack}.yaml").write_text(text)
    return load(stack, folder)


def started(made: Plan) -> None:
    """Every model's engine takes what was planned for it."""
    for model in made.models:
        replica, adapter = planned_replica(model, "/models/x"), engine(model.engine)
        assert adapter.container_env(replica)
        adapter.container_command(replica)
        adapter.image(gpus()[model.gpu.type.split(":")[0]].capability if model.gpu else None)


@pytest.mark.parametrize("stack", ["dev", "staging", "prod"])
def test_one_word_moves_a_stack_from_tgi_to_vllm(stack: str, tmp_path: Path) -> None:
    text = (ROOT / "stacks" / f"Pulumi.{stack}.yaml").read_text()
    assert "engine: tgi" in text
    before = plan(load(stack, ROOT))
    after = plan(loaded(text.replace("engine: tgi", "engine: vllm"), tmp_path, stack))
    for old, new in zip(before.models, after.models, strict=True):
        assert new.engine == ("vllm" if old.engine == "tgi" else old.engine)
        assert (new.limits, new.options, new.source) == (old.limits, old.options, old.source)
        assert new.floor <= new.replicas <= new.ceiling or new.floor == 0
    started(before)
    started(after)
    if stack == "prod":
        kept = {model.model: model.performance for model in after.models}
        assert kept["chat"] is not None
        assert (kept["chat"].ttft_p95, kept["chat"].itl_p95) < (1.0, 0.08)


def test_a_cluster_without_gpus_runs_the_kits_own_models(tmp_path: Path) -> None:
    models = """
    chat: {engine: local, source: store://tiny-gpt2, context: 512, replicas: {min: 1, max: 3}}
    repair: {engine: local, source: store://tiny-t5, context: 128}
    embed: {engine: local, source: store://minilm, context: 256}
    ngram: {engine: local, source: store://ngram, context: 512}
"""
    made = plan(loaded(CLUSTER + models, tmp_path))
    assert not made.nodes
    assert {model.gpu for model in made.models} == {None}
    assert all(100e6 < model.memory_bytes < 600e6 for model in made.models)
    assert {model.cpu_millis for model in made.models} == {1000}
    assert "ngram" in report(made)
    started(made)


def test_what_an_engine_would_refuse_is_refused_in_the_plan(tmp_path: Path) -> None:
    models = f"""
    chat:
      engine: vllm
      source: hf://{LLAMA_8B}@0e9e39f249a16976918f6564b8830bc894c89659
      context: 8192
      options: {{enable-auto-tool-choice: true}}
"""
    cluster = CLUSTER.replace("{context: dev}", "{context: dev, nodes: {a: {gpu: l40s, nodes: 1}}}")
    with pytest.raises(PlanError, match=r"x\.yaml:9: models\.chat\.engine = vllm: option 'enable-auto-tool-choice'"):
        plan(loaded(cluster + models, tmp_path))


def test_stored_bfloat16_is_kept_where_the_gpu_has_it() -> None:
    for name in ("tgi", "vllm"):
        assert engine_options(request(name), gpus()["l4"]) == {"dtype": "bfloat16"}
        assert engine_options(request(name), gpus()["t4"]) == {}
        assert engine_options(request(name, dtype="float16"), gpus()["l4"]) == {"dtype": "float16"}
        assert engine_options(request(name, quantize="fp8"), gpus()["l4"]) == {"quantize": "fp8"}
    assert engine_options(request("tei", BGE), gpus()["l4"]) == {}
    asked = request("vllm", options={"max-loras": "2", "block-size": "32"})
    assert list(engine_options(asked, gpus()["l4"])) == ["block-size", "dtype", "max-loras"]


def test_share_of_memory_follows_the_options() -> None:
    assert float(MEMORY_SHARE) == UTILISATION
    for name, option in (("vllm", {"gpu-memory-utilization": "0.75"}), ("tgi", {"cuda-memory-fraction": "0.9"})):
        whole, less = (fit(asked, gpus()["h100"], 1) for asked in (request(name), request(name, options=option)))
        assert isinstance(whole, Fit)
        assert isinstance(less, Fit)
        assert less.kv_tokens < whole.kv_tokens


def test_a_batch_holds_what_is_not_split() -> None:
    long = find_shape("BAAI/bge-m3", "models.embed.source")
    assert batch_tokens_of(request("tei", "BAAI/bge-m3", context=512)) == long.context, "TEI takes the model's length"
    unsplit = request("vllm", options={"enable-chunked-prefill": "false"})
    split = fit(request("vllm"), gpus()["h100"], 1), fit(unsplit, gpus()["h100"], 1)
    assert [found.batch_tokens for found in split if isinstance(found, Fit)] == [4096, 8192]
    assert batch_tokens_of(request("vllm", context=64, concurrency=512), chunked=True) == 512, "a token a request"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (request("vllm", "google-t5/t5-small", context=512), "vllm: does not serve t5 encoder-decoders; set tgi"),
        (request("tgi", BGE, context=512), "tgi: does not serve bert encoders; set tei"),
        (request("tei"), "tei: serves encoders only; set tgi or vllm"),
        (request("vllm", gpu="none"), "none: vllm needs a GPU; set gpu: auto"),
        (
            request("local", gpu="none", objectives=Objectives(ttft_p95=1.0), demand=Demand(1.0, 100, 100)),
            "1 s: cannot be planned for on CPUs, whose speed is not known; leave it out",
        ),
    ],
)
def test_models_that_an_engine_does_not_serve_are_refused(asked: ModelRequest, message: str) -> None:
    assert [str(found).partition(" = ")[2] for found in check_request(asked)] == [message]


def test_the_kits_ngrams_need_its_own_engine() -> None:
    ngram = shape_from_folder(KIT / "ngram", "models.chat.source")
    found = check_request(request("tgi", shape=ngram, context=512))
    assert [str(each) for each in found] == ["models.chat.engine = tgi: does not serve ngram models; set local"]
    assert not check_request(request("local", shape=ngram, context=512, gpu="none"))


@pytest.mark.parametrize(
    ("name", "gpu", "shards", "rule"),
    [
        ("tei", "l4", 2, "TEI cannot split a model over GPUs"),
        ("tei", "b300", 1, "engine tei has no image for compute capability 10.3"),
    ],
)
def test_devices_that_an_engine_cannot_use_do_not_fit(name: str, gpu: str, shards: int, rule: str) -> None:
    found = fit(request(name, BGE, context=512), gpus()[gpu], shards)
    assert isinstance(found, Misfit)
    assert rule in found.rule
