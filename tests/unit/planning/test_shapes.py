"""Model shapes: weights and KV cache of published models, and what is refused."""

import json
import struct
from pathlib import Path

import pytest

from infra.planning.errors import ShapeError
from infra.planning.shapes import Shape, find_shape, known_models, read_shape, shape_from_folder, stored_bytes

PUBLISHED = {name: entry for name, entry in known_models().items() if "published_bytes" in entry}

# KV cache bytes a token in 16 bits: layers x KV heads x head size x 2 x 2, worked out by hand from each model's card
# (the first seven are the table of TGI's and vLLM's documentation).
KV_BYTES = {
    "meta-llama/Llama-3.1-8B-Instruct": 131072,
    "mistralai/Mistral-7B-Instruct-v0.3": 131072,
    "meta-llama/Llama-3.1-70B-Instruct": 327680,
    "meta-llama/Llama-2-7b-hf": 524288,
    "Qwen/Qwen2.5-7B-Instruct": 57344,
    "Qwen/Qwen2.5-0.5B-Instruct": 12288,
    "openai-community/gpt2": 36864,
    "meta-llama/Llama-2-70b-hf": 80 * 8 * 128 * 4,
    "meta-llama/Llama-3.2-1B-Instruct": 16 * 8 * 64 * 4,
    "meta-llama/Llama-3.2-3B-Instruct": 28 * 8 * 128 * 4,
    "mistralai/Mistral-7B-v0.1": 32 * 8 * 128 * 4,
    "mistralai/Mixtral-8x7B-Instruct-v0.1": 32 * 8 * 128 * 4,
    "Qwen/Qwen2.5-32B-Instruct": 64 * 8 * 128 * 4,
    "Qwen/Qwen2.5-72B-Instruct": 80 * 8 * 128 * 4,
    "Qwen/Qwen3-8B": 36 * 8 * 128 * 4,
    "Qwen/Qwen3-32B": 64 * 8 * 128 * 4,
    "Qwen/Qwen3-30B-A3B": 48 * 4 * 128 * 4,
    "Qwen/Qwen1.5-MoE-A2.7B": 24 * 16 * 128 * 4,
    "google/gemma-2-9b-it": 42 * 8 * 256 * 4,
    "google/gemma-3-1b-it": 26 * 1 * 256 * 4,
    "google/gemma-3-27b-it": 62 * 16 * 128 * 4,
    "microsoft/phi-2": 32 * 32 * 80 * 4,
    "microsoft/Phi-3-mini-4k-instruct": 32 * 32 * 96 * 4,
    "microsoft/phi-4": 40 * 10 * 128 * 4,
    "neuralmagic/Meta-Llama-3.1-8B-Instruct-FP8": 131072,
    "google-t5/t5-small": 6 * 8 * 64 * 4,
    "google/flan-t5-base": 12 * 12 * 64 * 4,
    "google-bert/bert-base-uncased": 0,
    "sentence-transformers/all-MiniLM-L6-v2": 0,
    "BAAI/bge-base-en-v1.5": 0,
    "BAAI/bge-small-en-v1.5": 0,
}


def by_formula(name: str) -> Shape:
    return read_shape(known_models()[name]["config"], name)


def test_at_least_twenty_models_have_a_published_size() -> None:
    assert len(PUBLISHED) >= 20
    assert set(KV_BYTES) == set(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_weight_bytes_by_formula_are_within_one_percent_of_the_published_files(name: str) -> None:
    published = PUBLISHED[name]["published_bytes"] - PUBLISHED[name].get("published_buffer_bytes", 0)
    assert by_formula(name).weights_bytes == pytest.approx(published, rel=0.01)


@pytest.mark.parametrize("name", PUBLISHED)
def test_known_models_carry_the_published_size(name: str) -> None:
    published = PUBLISHED[name]["published_bytes"] - PUBLISHED[name].get("published_buffer_bytes", 0)
    assert find_shape(name, "models.m.source").weights_bytes == published


@pytest.mark.parametrize("name", KV_BYTES)
def test_kv_cache_bytes_a_token_are_exact(name: str) -> None:
    assert by_formula(name).kv_bytes_per_token() == KV_BYTES[name]


def test_mixture_models_activate_a_part_of_their_parameters() -> None:
    # Published: 12.9 B of 46.7 B, and 3.3 B of 30.5 B with embeddings, which a token does not multiply.
    mixtral, qwen = by_formula("mistralai/Mixtral-8x7B-Instruct-v0.1"), by_formula("Qwen/Qwen3-30B-A3B")
    assert mixtral.active_parameters == pytest.approx(12.9e9, rel=0.02)
    assert qwen.active_parameters == pytest.approx(3.3e9 - 151936 * 2048, rel=0.03)


@pytest.mark.parametrize(
    ("method", "share"),
    [("awq", 0.357), ("gptq", 0.357), ("fp8", 0.566), ("bitsandbytes", 0.566)],
)
def test_quantised_weights_take_a_part_of_the_16_bit_ones(method: str, share: float) -> None:
    config = dict(known_models()["meta-llama/Llama-3.1-8B-Instruct"]["config"])
    config["quantization_config"] = {"quant_method": method, "bits": 4, "group_size": 128}
    assert read_shape(config, "x").weights_bytes == pytest.approx(16_060_522_496 * share, rel=0.01)


def test_every_bad_field_is_named_at_once() -> None:
    with pytest.raises(ShapeError) as caught:
        read_shape({"model_type": "llama", "hidden_size": -4, "torch_dtype": "int3"}, "models.chat.shape")
    text = str(caught.value)
    for field in ("hidden_size = -4", "num_attention_heads", "num_hidden_layers", "vocab_size", "torch_dtype = int3"):
        assert f"models.chat.shape: {field}" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_key_value_heads": 7}, "does not divide 32 heads"),
        ({"vocab_size": 10**9}, "must be a whole number"),
        ({"quantization_config": {"quant_method": "magic"}}, "quant_method = magic: has no known storage formula"),
        ({"model_type": "mamba"}, "knows no formula for this architecture"),
        ({"model_type": None}, "model_type: is missing"),
    ],
)
def test_bad_configs_are_refused_with_a_way_out(change: dict[str, object], message: str) -> None:
    config = {**known_models()["meta-llama/Llama-3.1-8B-Instruct"]["config"], **change}
    if config["model_type"] is None:
        del config["model_type"]
    with pytest.raises(ShapeError, match=message):
        read_shape(config, "models.chat.shape")


def test_unknown_model_names_the_nearest_known_one() -> None:
    with pytest.raises(ShapeError, match=r"nearest known: meta-llama/Llama-3\.1-8B-Instruct"):
        find_shape("meta-llama/Llama-3.1-8B", "models.chat.source")


def test_stored_bytes_come_from_the_index_or_the_headers(tmp_path: Path) -> None:
    assert stored_bytes(tmp_path) is None
    header = json.dumps({"__metadata__": {}, "w": {"dtype": "F16", "shape": [3], "data_offsets": [0, 6]}}).encode()
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(6))
    assert stored_bytes(tmp_path) == 6
    (tmp_path / "model.safetensors.index.json").write_text('{"metadata": {"total_size": 99}}')
    assert stored_bytes(tmp_path) == 99
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(ShapeError, match=r"has no metadata\.total_size"):
        stored_bytes(tmp_path)


def test_a_damaged_safetensors_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"short")
    with pytest.raises(ShapeError, match=r"model\.safetensors: is not a safetensors file"):
        stored_bytes(tmp_path)


def test_shape_of_a_folder_takes_weights_from_its_files(tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match=r"has no config\.json"):
        shape_from_folder(tmp_path, "models.chat.source")
    (tmp_path / "config.json").write_text(json.dumps(known_models()["openai-community/gpt2"]["config"]))
    (tmp_path / "model.safetensors.index.json").write_text('{"metadata": {"total_size": 12345}}')
    assert shape_from_folder(tmp_path, "models.chat.source").weights_bytes == 12345
