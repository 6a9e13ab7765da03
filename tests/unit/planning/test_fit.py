"""What fits on which devices."""

import pytest

from infra.planning.candidates import candidates_of
from infra.planning.catalogue import gpus, prices
from infra.planning.fit import Fit, Misfit, fit, shard_degrees
from infra.planning.refusal import refusal
from infra.planning.request import Demand, ModelRequest
from infra.planning.shapes import find_shape
from infra.planning.supply import aws_supply

LLAMA_8B, LLAMA_70B = "meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-70B-Instruct"


def request(model: str = LLAMA_8B, **changes: object) -> ModelRequest:
    fields: dict[str, object] = {
        "name": "chat", "engine": "tgi", "source": model, "shape": find_shape(model, "models.chat.source"),
        "context": 8192, "concurrency": 16,
    }  # fmt: skip
    return ModelRequest(**(fields | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("model", "gpu", "shards", "fits"),
    [
        (LLAMA_8B, "l4", 1, True),
        (LLAMA_8B, "t4", 1, False),
        (LLAMA_8B, "a10g", 1, True),
        (LLAMA_8B, "l40s", 1, True),
        (LLAMA_8B, "h100", 1, True),
        (LLAMA_70B, "l40s", 4, True),
        (LLAMA_70B, "l40s", 2, False),
        (LLAMA_70B, "h100", 1, False),
        (LLAMA_70B, "a100-80", 2, True),
        (LLAMA_70B, "l4", 8, True),
        (LLAMA_70B, "l4", 4, False),
        ("Qwen/Qwen2.5-0.5B-Instruct", "t4", 1, True),
        ("openai-community/gpt2", "t4", 1, True),
    ],
)
def test_known_verdicts(model: str, gpu: str, shards: int, fits: bool) -> None:
    context = 1024 if "gpt2" in model else 8192
    assert isinstance(fit(request(model, context=context), gpus()[gpu], shards), Fit) == fits


@pytest.mark.parametrize(
    ("gpu", "bound", "planned"),
    # TGI's budget, 0.9 x memory - weights, over 131,072 bytes a token; HF publishes about 30 k on an L4.
    [("l4", 42_000, 30_000), ("a10g", 42_000, 30_000), ("l40s", 207_000, 145_000), ("h100", 466_000, 326_000)],
)
def test_kv_tokens_of_an_8b_model(gpu: str, bound: int, planned: int) -> None:
    found = fit(request(), gpus()[gpu], 1)
    assert isinstance(found, Fit)
    assert found.kv_tokens_bound == pytest.approx(bound, rel=0.01)
    assert found.kv_tokens == pytest.approx(planned, rel=0.02)


def test_a_refusal_says_by_how_much_and_what_would_fit() -> None:
    supply = aws_supply(prices("us-east-1"))
    asked = request(gpu="t4", shards=1)
    text = str(refusal(asked, candidates_of(asked, supply), supply))
    assert text == (
        "models.chat.gpu = t4: t4: weights of 16.1 GB and 1.3 GB of activations are 1.9 GB more than the 15.5 GB "
        "that an engine uses of 17.2 GB; would fit: quantize: bitsandbytes (5.7 GB of weights), or l4"
    )
    text = str(refusal(asked, candidates_of(request(LLAMA_70B, gpu="h100", shards=1), supply), supply))
    assert "h100: weights of 141.1 GB and 1.3 GB of activations are 65.1 GB more than" in text


def test_a_context_too_long_for_the_cache_says_which_would_fit() -> None:
    found = fit(request(context=65_536), gpus()["l4"], 1)
    assert isinstance(found, Misfit)
    assert "36.0k too few for one request of the whole context; context 29583 would fit" in found.rule


def test_a_concurrency_too_high_for_the_cache_says_which_would_fit() -> None:
    asked = request(concurrency=64, demand=Demand(1.0, 1500, 500), max_output_tokens=1024)
    found = fit(asked, gpus()["l4"], 1)
    assert isinstance(found, Misfit)
    assert "64 requests of 2012 tokens; concurrency 14 would fit" in found.rule


def test_shards_divide_heads_and_copy_kv_heads_they_cannot_split() -> None:
    assert shard_degrees(find_shape("Qwen/Qwen2.5-7B-Instruct", "x"), 16) == [1, 2, 4]
    assert shard_degrees(find_shape("google/gemma-2b", "x"), 8) == [1, 2, 4, 8]
    one, four = (fit(request("google/gemma-2b"), gpus()["l4"], shards) for shards in (1, 4))
    assert isinstance(one, Fit)
    assert isinstance(four, Fit)
    assert four.kv_bytes_per_token == 4 * one.kv_bytes_per_token


def test_hardware_that_lacks_a_type_is_refused() -> None:
    for gpu, changes, message in (
        ("t4", {"dtype": "bfloat16"}, "no bfloat16"),
        ("t4", {"quantize": "fp8"}, "fp8 needs compute capability 8.0"),
        ("inf2", {}, "compiled for it"),
    ):
        found = fit(request("Qwen/Qwen2.5-0.5B-Instruct", **changes), gpus()[gpu], 1)
        assert isinstance(found, Misfit)
        assert message in found.rule


def test_quantising_at_load_shrinks_weights() -> None:
    plain, small = (fit(request(quantize=method), gpus()["l4"], 1) for method in (None, "fp8"))
    assert isinstance(plain, Fit)
    assert isinstance(small, Fit)
    assert small.weights_bytes == pytest.approx(9.08e9, rel=0.01)
    assert small.kv_tokens > 2 * plain.kv_tokens


def test_old_gpus_prefill_a_prompt_in_one_piece() -> None:
    found = fit(request("Qwen/Qwen2.5-0.5B-Instruct", context=16_384), gpus()["t4"], 1)
    assert isinstance(found, Fit)
    assert found.batch_tokens == 16_384
    assert not found.prefix_cache
