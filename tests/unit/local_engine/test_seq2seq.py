"""The T5 converter against a forward pass in numpy, and a random T5 behind TGI's protocol."""

import json
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from serving.store import stage
from serving.store.convert import t5

pytestmark = pytest.mark.thorough

WIDTH, HEADS, HEAD_WIDTH, INNER, LAYERS, BUCKETS, DISTANCE = 32, 4, 8, 48, 2, 8, 16
TOKENS = ["<pad>", "</s>", "<unk>", *(f"w{number}" for number in range(40))]


def make(folder: Path, *, gated: bool, tied: bool) -> Path:
    """A T5 of random weights: 1.0 is ungated (ReLU) and tied (scaled outputs), 1.1 gated (GELU) and untied."""
    random = np.random.default_rng(3)

    def dense(rows: int, columns: int, scale: float = 0.3) -> np.ndarray:
        return random.normal(0, scale, (rows, columns)).astype(np.float32)

    weights = {"shared.weight": dense(len(TOKENS), WIDTH, 1.0)}
    if not tied:
        weights["lm_head.weight"] = dense(len(TOKENS), WIDTH)
    for stack in ("encoder", "decoder"):
        weights[f"{stack}.final_layer_norm.weight"] = 1 + dense(1, WIDTH)[0]
        bias = f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        weights[bias] = dense(BUCKETS, HEADS, 1.0)
        for layer in range(LAYERS):
            attentions = ["0.SelfAttention"] + (["1.EncDecAttention"] if stack == "decoder" else [])
            for attention in attentions:
                for part in "qkv":
                    name = f"{stack}.block.{layer}.layer.{attention}.{part}.weight"
                    weights[name] = dense(HEADS * HEAD_WIDTH, WIDTH)
                weights[f"{stack}.block.{layer}.layer.{attention}.o.weight"] = dense(WIDTH, HEADS * HEAD_WIDTH)
            for index in range(len(attentions) + 1):
                weights[f"{stack}.block.{layer}.layer.{index}.layer_norm.weight"] = 1 + dense(1, WIDTH)[0]
            feed = f"{stack}.block.{layer}.layer.{len(attentions)}.DenseReluDense"
            for name in ("wi_0", "wi_1") if gated else ("wi",):
                weights[f"{feed}.{name}.weight"] = dense(INNER, WIDTH)
            weights[f"{feed}.wo.weight"] = dense(WIDTH, INNER)
    save_file(weights, folder / "model.safetensors")
    config = {
        "model_type": "t5",
        "d_model": WIDTH,
        "num_layers": LAYERS,
        "num_heads": HEADS,
        "feed_forward_proj": "gated-gelu" if gated else "relu",
        "dense_act_fn": "gelu_new" if gated else "relu",
        "relative_attention_max_distance": DISTANCE,
        "tie_word_embeddings": True,  # as transformers 5 writes it, whatever the model is
        "scale_decoder_outputs": tied,
        "n_positions": 64,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "decoder_start_token_id": 0,
    }
    (folder / "config.json").write_text(json.dumps(config))
    tokenizer = Tokenizer(models.WordLevel({token: index for index, token in enumerate(TOKENS)}, TOKENS[2]))
    tokenizer.add_special_tokens(TOKENS[:3])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


class Reference:
    """T5: RMSNorm, unscaled attention, relative positions in buckets."""

    def __init__(self, folder: Path) -> None:
        self.weights = load_file(folder / "model.safetensors")
        self.tied = "lm_head.weight" not in self.weights
        self.gated = "encoder.block.0.layer.1.DenseReluDense.wi_0.weight" in self.weights

    def greedy(self, source: list[int], steps: int) -> tuple[list[int], list[float]]:
        """Tokens until the end token, which is included, and their log-probabilities."""
        memory = self._stack("encoder", source, None)
        ids, log_probs = [0], []
        while len(log_probs) < steps and (len(ids) == 1 or ids[-1] != 1):
            x = self._stack("decoder", ids, memory)[-1]
            head = self.weights["shared.weight"] * WIDTH**-0.5 if self.tied else self.weights["lm_head.weight"]
            logits = x @ head.T
            logits = logits - logits.max()
            ids.append(int(logits.argmax()))
            log_probs.append(float(logits[ids[-1]] - np.log(np.exp(logits).sum())))
        return ids[1:], log_probs

    def _stack(self, stack: str, ids: list[int], memory: np.ndarray | None) -> np.ndarray:
        x = self.weights["shared.weight"][ids].astype(np.float64)
        bias = self._bias(stack, len(ids))
        for layer in range(LAYERS):
            block = f"{stack}.block.{layer}.layer."
            normed = self._norm(x, block + "0.layer_norm")
            x = x + self._attention(block + "0.SelfAttention", normed, normed, bias)
            last = 1
            if memory is not None:
                x = x + self._attention(block + "1.EncDecAttention", self._norm(x, block + "1.layer_norm"), memory, 0.0)
                last = 2
            h = self._norm(x, f"{block}{last}.layer_norm")
            feed = f"{block}{last}.DenseReluDense."
            if self.gated:
                gate = h @ self.weights[feed + "wi_0.weight"].T
                gate = 0.5 * gate * (1 + np.tanh(np.sqrt(2 / np.pi) * (gate + 0.044715 * gate**3)))
                inner = gate * (h @ self.weights[feed + "wi_1.weight"].T)
            else:
                inner = np.maximum(0, h @ self.weights[feed + "wi.weight"].T)
            x = x + inner @ self.weights[feed + "wo.weight"].T
        return self._norm(x, f"{stack}.final_layer_norm")

    def _attention(self, name: str, x: np.ndarray, other: np.ndarray, bias: Any) -> np.ndarray:
        q, k, v = (
            (rows @ self.weights[f"{name}.{part}.weight"].T).reshape(len(rows), HEADS, HEAD_WIDTH).transpose(1, 0, 2)
            for part, rows in (("q", x), ("k", other), ("v", other))
        )
        scores = q @ k.transpose(0, 2, 1) + bias
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (scores / scores.sum(-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(len(x), -1)
        return mixed @ self.weights[f"{name}.o.weight"].T

    def _norm(self, x: np.ndarray, name: str) -> np.ndarray:
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * self.weights[name + ".weight"]

    def _bias(self, stack: str, length: int) -> np.ndarray:
        table = self.weights[f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]
        bias = np.zeros((HEADS, length, length))
        for query in range(length):
            for key in range(length):
                bias[:, query, key] = table[bucket(key - query, two_sided=stack == "encoder")]
                if stack == "decoder" and key > query:
                    bias[:, query, key] = -np.inf
        return bias


def bucket(distance: int, *, two_sided: bool) -> int:
    """T5's relative position bucket: near distances singly, far ones logarithmically."""
    buckets, offset = BUCKETS, 0
    if two_sided:
        buckets //= 2
        offset = buckets if distance > 0 else 0
        distance = abs(distance)
    else:
        distance = max(0, -distance)
    exact = buckets // 2
    if distance < exact:
        return offset + distance
    far = exact + int(math.log(distance / exact) / math.log(DISTANCE / exact) * (buckets - exact))
    return offset + min(far, buckets - 1)


@pytest.mark.parametrize(
    ("gated", "tied"), [(False, True), (True, False), (True, True)], ids=["t5-1.0", "t5-1.1", "the kit's"]
)
def test_converted_model_writes_what_the_reference_writes(tmp_path: Path, gated: bool, tied: bool):
    source = make(tmp_path, gated=gated, tied=tied)
    config = json.loads((source / "config.json").read_text())
    spec = t5.spec(config, load_file(source / "model.safetensors"), source)
    spec.validate()
    spec.optimize()
    (tmp_path / "ct2").mkdir()
    spec.save(str(tmp_path / "ct2"))
    translator = ctranslate2.Translator(str(tmp_path / "ct2"), intra_threads=1)
    reference, random = Reference(source), np.random.default_rng(4)
    for length in (1, 5, 20):
        ids = [*random.integers(3, len(TOKENS), length).tolist(), 1]
        expected, log_probs = reference.greedy(ids, 12)
        words = [TOKENS[index] for index in ids]
        limits = {"max_decoding_length": 12, "min_decoding_length": 0}
        steps = list(translator.generate_tokens(words, return_log_prob=True, **limits))
        assert [step.token_id for step in steps] == expected
        np.testing.assert_allclose([step.log_prob for step in steps], log_probs, atol=1e-3)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("random-t5"), gated=False, tied=True)


@pytest.fixture(scope="module")
def server(source: Path, tmp_path_factory: pytest.TempPathFactory, serve_folder):
    return serve_folder(stage(source, tmp_path_factory.mktemp("store"), name="random-t5").path)


def test_server_answers_with_the_reference_tokens_and_without_the_prompt(server, source):
    prompt = "w3 w17 w30 w2"
    expected, _ = Reference(source).greedy([TOKENS.index(word) for word in prompt.split()] + [1], 10)
    body = {"inputs": prompt, "parameters": {"max_new_tokens": 10, "details": True}}
    (answer,) = server.post("/", body).json
    assert [token["id"] for token in answer["details"]["tokens"]] == expected
    assert not answer["generated_text"].startswith(prompt), "text-to-text models do not continue their input"
    assert server.get("/info").json["model_pipeline_tag"] == "text2text-generation"


def test_batches_of_different_lengths_give_what_each_would_give_alone(server):
    prompts = [" ".join(f"w{(7 * number + k) % 40}" for k in range(number + 1)) for number in range(12)]

    def ask(prompt: str) -> Any:
        return server.post("/generate", {"inputs": prompt, "parameters": {"max_new_tokens": 10}}).json

    alone = [ask(prompt) for prompt in prompts]
    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(ask, prompts * 3)) == alone * 3
    assert server.metric("tgi_batch_next_size_count") < server.metric("tgi_batch_next_size_sum")


def test_stopping_one_sequence_of_a_batch_leaves_the_others_writing(server):
    def ask(tokens: int) -> int:
        body = {"inputs": "w3 w17 w30 w2", "parameters": {"max_new_tokens": tokens, "do_sample": True, "details": True}}
        details = server.post("/generate", body).json["details"]
        assert details["finish_reason"] == ("length" if details["generated_tokens"] == tokens else "eos_token")
        return details["generated_tokens"]

    with ThreadPoolExecutor(16) as pool:
        counts = list(pool.map(ask, [1, 2, 3, 40] * 8))
    assert all(count <= asked for count, asked in zip(counts, [1, 2, 3, 40] * 8, strict=True))
    assert max(counts) > 3


def test_seed_repeats(server):
    parameters = {"max_new_tokens": 20, "do_sample": True, "seed": 9, "temperature": 2.0}
    answers = [server.post("/generate", {"inputs": "w1 w2", "parameters": parameters}).json for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]


def test_chat_takes_the_last_message_where_there_is_no_template(server):
    messages = [{"role": "user", "content": "w9"}, {"role": "user", "content": "w3 w17"}]
    body = {"messages": messages, "max_tokens": 6, "temperature": 0}
    chat = server.post("/v1/chat/completions", body).json
    plain = server.post("/generate", {"inputs": "w3 w17", "parameters": {"max_new_tokens": 6}}).json
    assert chat["choices"][0]["message"]["content"] == plain["generated_text"]
