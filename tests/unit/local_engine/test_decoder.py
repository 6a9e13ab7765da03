"""The GPT against a forward pass written in numpy, and the prefix cache against the model without one."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from serving.local_engine.text import Text
from serving.store.kit import KIT

pytestmark = pytest.mark.thorough

SOURCE = KIT / "tiny-gpt2"
PROMPT = "It was a dark night and the ship"


class Reference:
    """GPT-2 from the paper: pre-norm blocks, causal attention, tied output."""

    def __init__(self, folder: Path, layers: int = 4, heads: int = 3) -> None:
        loaded = load_file(folder / "model.safetensors")
        self.weights = {name.removeprefix("transformer."): w.astype(np.float64) for name, w in loaded.items()}
        self.layers, self.heads = layers, heads

    def log_probs(self, ids: list[int]) -> np.ndarray:
        """Of the token after `ids`."""
        w = self.weights
        x = w["wte.weight"][ids] + w["wpe.weight"][: len(ids)]
        for layer in range(self.layers):
            block = f"h.{layer}."
            q, k, v = np.split(self._conv(self._norm(x, block + "ln_1"), block + "attn.c_attn"), 3, axis=1)
            q, k, v = (part.reshape(len(ids), self.heads, -1).transpose(1, 0, 2) for part in (q, k, v))
            scores = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])
            scores += np.triu(np.full(scores.shape[1:], -np.inf), 1)
            mixed = (_softmax(scores) @ v).transpose(1, 0, 2).reshape(len(ids), -1)
            x = x + self._conv(mixed, block + "attn.c_proj")
            inner = self._conv(self._norm(x, block + "ln_2"), block + "mlp.c_fc")
            gelu = 0.5 * inner * (1 + np.tanh(np.sqrt(2 / np.pi) * (inner + 0.044715 * inner**3)))
            x = x + self._conv(gelu, block + "mlp.c_proj")
        logits = self._norm(x[-1:], "ln_f")[0] @ w["wte.weight"].T
        return logits - np.log(np.exp(logits - logits.max()).sum()) - logits.max()

    def _norm(self, x: np.ndarray, name: str) -> np.ndarray:
        scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return scaled * self.weights[name + ".weight"] + self.weights[name + ".bias"]

    def _conv(self, x: np.ndarray, name: str) -> np.ndarray:
        return x @ self.weights[name + ".weight"] + self.weights[name + ".bias"]


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference(SOURCE)


@pytest.fixture(scope="module")
def text() -> Text:
    return Text(SOURCE)


def generate(server, prompt: str, **parameters):
    body = {"inputs": prompt, "parameters": {"max_new_tokens": 16, "details": True} | parameters}
    answer = server.post("/generate", body)
    assert answer.status == 200, answer.body
    return answer.json


def test_greedy_tokens_and_log_probabilities_are_those_of_the_reference(chat, reference, text):
    ids = text.encode(PROMPT)
    for token in generate(chat, PROMPT, max_new_tokens=6)["details"]["tokens"]:
        expected = reference.log_probs(ids)
        assert token["id"] == int(expected.argmax())
        assert token["logprob"] == pytest.approx(expected.max(), abs=1e-3)
        ids.append(token["id"])


def test_sampled_log_probabilities_are_the_models_before_temperature_and_top_k(chat, reference, text):
    parameters = {"max_new_tokens": 1, "do_sample": True, "temperature": 0.7, "top_k": 5, "seed": 11}
    (token,) = generate(chat, PROMPT, **parameters)["details"]["tokens"]
    expected = reference.log_probs(text.encode(PROMPT))
    assert token["id"] in np.argsort(-expected)[:5]
    assert token["logprob"] == pytest.approx(expected[token["id"]], abs=1e-3)


def test_top_p_draws_from_the_nucleus_only(chat, reference, text):
    expected = reference.log_probs(text.encode(PROMPT))
    order = np.argsort(-expected)
    nucleus = set(order[: int(np.searchsorted(np.cumsum(np.exp(expected[order])), 0.3)) + 1].tolist())
    for seed in range(20):
        (token,) = generate(chat, PROMPT, max_new_tokens=1, top_p=0.3, seed=seed)["details"]["tokens"]
        assert token["id"] in nucleus


def test_repetition_penalty_changes_the_answer(chat):
    repeated = generate(chat, "The whale", max_new_tokens=60)["generated_text"]
    varied = generate(chat, "The whale", max_new_tokens=60, repetition_penalty=1.5)["generated_text"]
    assert repeated.count(" and a mild,") > 1
    assert varied.count(" and a mild,") == 0


@pytest.fixture(scope="module")
def plain(serve):
    """A server without a prefix cache."""
    return serve("tiny-gpt2", "--prefix-cache-tokens", "0")


def test_second_request_with_a_long_prompt_saves_its_prefill_and_gets_the_same_answer(chat, plain):
    prompt = "We shall not sail to the east before the storm is over, said the captain to his men. " * 6
    before = chat.metric("local_prompt_tokens_cached")
    first, second = (
        chat.post("/v1/completions", {"prompt": prompt, "max_tokens": 20, "temperature": 0}).json for _ in range(2)
    )
    expected = plain.post("/v1/completions", {"prompt": prompt, "max_tokens": 20, "temperature": 0}).json
    assert first["choices"] == second["choices"] == expected["choices"]
    length = first["usage"]["prompt_tokens"]
    aligned = (length - 1) // 16 * 16
    assert first["usage"]["prompt_tokens_details"]["cached_tokens"] == 0
    assert second["usage"]["prompt_tokens_details"]["cached_tokens"] == aligned
    assert chat.metric("local_prompt_tokens_cached") - before == aligned
    assert chat.metric("local_prefix_cache_tokens") >= aligned
    assert plain.metric("local_prompt_tokens_cached") == 0


def test_shared_beginning_is_cached_from_its_second_use_on(chat, plain):
    system = "Answer as the mate of a whaling ship would, in one short sentence and without a curse. " * 3
    questions = [f"{name} asks where the captain is, and what the weather will be." * 2 for name in "ABCD"]
    saved = []
    for question in questions:
        body = {"prompt": system + question, "max_tokens": 12, "temperature": 0}
        answer, expected = (server.post("/v1/completions", body).json for server in (chat, plain))
        assert answer["choices"] == expected["choices"]
        saved.append(answer["usage"]["prompt_tokens_details"]["cached_tokens"])
    # The first leaves its whole prompt behind, the second finds out what is shared and leaves that.
    assert saved[:2] == [0, 0]
    assert saved[2] == saved[3] > 0
    assert saved[2] % 16 == 0


def test_prompt_delay_counts_only_what_is_not_cached(serve):
    server = serve("tiny-gpt2", "--prompt-token-delay-ms", "10")
    prompt = "There is no sea like the south sea, and no whale like the white whale. " * 8
    body = {"inputs": prompt, "parameters": {"max_new_tokens": 1}}
    first, second = (server.post("/generate", body) for _ in range(2))
    tokens = int(first.headers["x-prompt-tokens"])
    assert int(first.headers["x-inference-time"]) >= 10 * tokens
    assert int(second.headers["x-inference-time"]) < 10 * tokens / 2


def test_cache_keeps_to_its_capacity(serve):
    server = serve("tiny-gpt2", "--prefix-cache-tokens", "1024")
    for number in range(20):
        prompt = f"Number {number} " + "of the crew came on deck and looked at the sky. " * 12
        body = {"inputs": prompt, "parameters": {"max_new_tokens": 1}}
        assert server.post("/generate", body).status == 200
        assert server.metric("local_prefix_cache_tokens") <= 1024 + 512
    assert server.metric("local_prefix_cache_tokens") > 0
