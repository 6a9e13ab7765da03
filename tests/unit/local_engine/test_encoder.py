"""The BERT converter and encoder against a forward pass in numpy, and TEI's routes over a small random model."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ctranslate2
import numpy as np
import openai
import pytest
from huggingface_hub import InferenceClient
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from serving.local_engine.encoder import pooling
from serving.local_engine.text import Text
from serving.store import stage
from serving.store.convert import bert

pytestmark = pytest.mark.thorough

WIDTH, LAYERS, HEADS = 32, 2, 4
WORDS = ["the", "a", "whale", "sea", "ship", "old", "man", "sails", "over", "and", "dark", "night", "blue", "red"]
WORDS += ["cat", "dog", "runs", "fast", "slow", ",", "."]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of random weights with a WordPiece vocabulary of a few words, in Hugging Face's layout."""
    folder = tmp_path_factory.mktemp("random-bert")
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=tokens[1]))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.enable_padding(length=20)  # as files from sentence-transformers have it; the server must not heed it
    tokenizer.save(str(folder / "tokenizer.json"))
    random = np.random.default_rng(2)

    def dense(rows: int, columns: int) -> np.ndarray:
        return random.normal(0, 0.3, (rows, columns)).astype(np.float32)

    weights = {
        "embeddings.word_embeddings.weight": dense(len(tokens), WIDTH),
        "embeddings.position_embeddings.weight": dense(32, WIDTH),
        "embeddings.token_type_embeddings.weight": dense(2, WIDTH),
    }
    shapes = {
        "attention.self.query": (WIDTH, WIDTH),
        "attention.self.key": (WIDTH, WIDTH),
        "attention.self.value": (WIDTH, WIDTH),
        "attention.output.dense": (WIDTH, WIDTH),
        "intermediate.dense": (64, WIDTH),
        "output.dense": (WIDTH, 64),
    }
    norms = ["embeddings.LayerNorm"]
    for layer in range(LAYERS):
        for name, shape in shapes.items():
            weights[f"encoder.layer.{layer}.{name}.weight"] = dense(*shape)
            weights[f"encoder.layer.{layer}.{name}.bias"] = dense(1, shape[0])[0]
        norms += [f"encoder.layer.{layer}.{part}.output.LayerNorm" for part in ("attention",)]
        norms += [f"encoder.layer.{layer}.output.LayerNorm"]
    for name in norms:
        weights[f"{name}.weight"] = 1 + dense(1, WIDTH)[0]
        weights[f"{name}.bias"] = dense(1, WIDTH)[0]
    save_file(weights, folder / "model.safetensors")
    config = {
        "model_type": "bert",
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "max_position_embeddings": 32,
        "layer_norm_eps": 1e-12,
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 16}')
    return folder


@pytest.fixture(scope="module")
def reference(source: Path, bert_reference):
    return bert_reference(source)


@pytest.fixture(scope="module")
def server(source: Path, tmp_path_factory: pytest.TempPathFactory, serve_folder):
    version = stage(source, tmp_path_factory.mktemp("store"), name="random-bert")
    return serve_folder(version.path, "--max-client-batch-size", "8")


def test_converted_encoder_gives_the_hidden_states_of_the_reference(source: Path, reference, tmp_path: Path):
    config, weights = json.loads((source / "config.json").read_text()), load_file(source / "model.safetensors")
    spec = bert.spec(config, weights, source)
    spec.validate()
    spec.optimize()
    spec.save(str(tmp_path))
    encoder = ctranslate2.Encoder(str(tmp_path), intra_threads=1)
    ids = Text(source).encode("the old man sails over the dark sea .")
    found = np.array(encoder.forward_batch([ids]).last_hidden_state)[0]
    np.testing.assert_allclose(found, reference.hidden_states(ids), atol=1e-4)


def test_embed_gives_normalised_vectors_close_to_the_reference(server, reference):
    sentences = ["the whale", "the old man sails over the sea .", "a red cat and a blue dog"]
    answer = server.post("/embed", {"inputs": sentences})
    assert answer.status == 200
    for vector, sentence in zip(answer.json, sentences, strict=True):
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
        assert np.dot(vector, reference.embed(sentence)) > 0.99, "int8 weights"


def test_one_input_is_a_list_of_one_vector_on_both_routes(server):
    single = server.post("/embed", {"inputs": "the whale"}).json
    assert single == server.post("/", {"inputs": ["the whale"]}).json
    assert len(single) == 1
    assert len(single[0]) == WIDTH


def test_vector_does_not_depend_on_its_neighbours(server):
    alone = server.post("/embed", {"inputs": "the whale"}).json[0]
    beside = server.post("/embed", {"inputs": ["the old man sails over the dark night sea .", "the whale"]}).json[1]
    np.testing.assert_allclose(alone, beside, atol=0.02)
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda _: server.post("/embed", {"inputs": "the whale"}).json[0], range(24)))
    for vector in together:
        np.testing.assert_allclose(vector, alone, atol=0.02)


def test_raw_and_shortened_vectors(server):
    raw = np.array(server.post("/embed", {"inputs": "the whale", "normalize": False}).json[0])
    assert np.linalg.norm(raw) != pytest.approx(1, abs=1e-3)
    short = np.array(server.post("/embed", {"inputs": "the whale", "dimensions": 8}).json[0])
    np.testing.assert_allclose(short, raw[:8] / np.linalg.norm(raw[:8]), atol=1e-4)


def test_headers_are_teis(server):
    headers = server.post("/embed", {"inputs": "the whale"}).headers
    assert (headers["x-compute-characters"], headers["x-compute-tokens"]) == ("9", "4")
    for name in ("x-compute-time", "x-total-time", "x-tokenization-time", "x-queue-time", "x-inference-time"):
        assert headers[name].isdecimal()


def test_long_input_is_refused_or_cut_at_either_end(server):
    long = "the old man sails over the dark sea and the blue whale runs fast , a slow ship"
    refused = server.post("/embed", {"inputs": long})
    assert refused.status == 422
    assert refused.json == {
        "error": "Input validation error: `inputs` must have less than 16 tokens. Given: 20",
        "error_type": "Validation",
    }
    words = long.split()
    right = server.post("/embed", {"inputs": long, "truncate": True}).json
    assert right == server.post("/embed", {"inputs": " ".join(words[:14])}).json
    left = server.post("/embed", {"inputs": long, "truncate": True, "truncation_direction": "Left"}).json
    assert left == server.post("/embed", {"inputs": " ".join(words[-14:])}).json


@pytest.mark.parametrize(
    ("body", "status", "problem", "kind"),
    [
        ({"inputs": ""}, 400, "`inputs` cannot be empty", "Empty"),
        ({"inputs": []}, 400, "`inputs` cannot be empty", "Empty"),
        ({"inputs": ["a"] * 9}, 422, "batch size 9 > maximum allowed batch size 8", "Validation"),
        ({"inputs": 3}, 422, "`inputs` must be a string or a list of strings", "Validation"),
        ({}, 422, "`inputs` must be a string", "Validation"),
        ({"inputs": "a", "prompt_name": "query"}, 422, "`prompt_name` cannot be used", "Validation"),
        ({"inputs": "a", "dimensions": 64}, 422, "`dimensions` must be from 1 to 32. Given: 64", "Validation"),
        ({"inputs": "a", "normalize": "no"}, 422, "must be true or false", "Validation"),
    ],
)
def test_bad_request_has_teis_body_and_openais_on_its_route(server, body, status, problem, kind):
    plain = server.post("/embed", body)
    assert plain.status == status
    assert problem in plain.json["error"]
    assert plain.json["error_type"] == kind
    if "inputs" in body:
        compatible = server.post("/v1/embeddings", {"input" if key == "inputs" else key: v for key, v in body.items()})
        assert compatible.status == status
        assert (compatible.json["code"], compatible.json["type"]) == (status, kind)
        assert compatible.json["message"]


def test_info_has_teis_fields(server):
    info = server.get("/info").json
    assert info["model_type"] == {"embedding": {"pooling": "mean"}}
    assert info["max_input_length"] == 16, "what it was trained on, not how many positions it has"
    assert info["max_client_batch_size"] == 8
    assert info["auto_truncate"] is False


def test_metrics_are_teis(server):
    before = {name: server.metric(name) for name in ('te_request_count{method="batch"}', "te_embed_success")}
    server.post("/embed", {"inputs": ["the whale", "the sea"]})
    server.post("/embed", {"inputs": ["a"] * 9})
    assert server.metric('te_request_count{method="batch"}') == before['te_request_count{method="batch"}'] + 2
    assert server.metric("te_embed_success") == before["te_embed_success"] + 2
    assert server.metric('te_request_failure{err="batch_size"}') >= 1
    assert server.metric("te_queue_size") == 0
    assert server.metric("te_request_duration_count") > 0
    assert server.metric("te_batch_next_tokens_count") > 0


def test_clients(server):
    expected = server.post("/embed", {"inputs": ["the whale", "the sea"]}).json
    found = InferenceClient(server.url).feature_extraction(["the whale", "the sea"])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(
        InferenceClient(f"{server.url}/embed").feature_extraction("the sea")[0], found[1], atol=0.02
    )
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        answer = client.embeddings.create(model="test", input=["the whale", "the sea"])
        np.testing.assert_allclose([row.embedding for row in answer.data], expected, atol=1e-6)
        assert answer.usage.prompt_tokens == 8
        floats = client.embeddings.create(model="test", input="the whale", encoding_format="float")
        assert len(floats.data[0].embedding) == WIDTH
    encoded = server.post("/v1/embeddings", {"input": "the sea", "encoding_format": "base64"}).json
    decoded = np.frombuffer(base64.b64decode(encoded["data"][0]["embedding"]), "<f4")
    np.testing.assert_allclose(decoded, expected[1], atol=0.02)


def test_overload_is_429_with_teis_body(serve_folder, server):
    busy = serve_folder(
        server.weights, "--max-concurrent-requests", "1", "--max-queued-requests", "0", "--workers", "1"
    )
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: busy.post("/embed", {"inputs": ["the old man ."] * 32}), range(64)))
    refused = [answer for answer in answers if answer.status == 429]
    assert refused
    assert refused[0].json == {"error": "Model is overloaded", "error_type": "Overloaded"}
    assert {answer.status for answer in answers} <= {200, 429}
    assert busy.metric('te_request_failure{err="overloaded"}') == len(refused)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_max_tokens": True}, "pooling_mode_max_tokens"),
        (None, "mean"),
    ],
)
def test_pooling_is_read_from_the_model(tmp_path: Path, config, expected):
    if config is not None:
        (tmp_path / "1_Pooling").mkdir()
        (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(config))
    assert pooling(tmp_path) == expected
