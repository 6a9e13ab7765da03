"""The n-gram model behind the protocol."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from serving.local_engine.ngram import NGram
from serving.local_engine.text import Text
from serving.store.kit import KIT

pytestmark = pytest.mark.thorough

SOURCE = KIT / "ngram"


@pytest.fixture(scope="module")
def server(serve):
    return serve("ngram")


def test_tokens_and_log_probabilities_are_the_models(server):
    model, text = NGram.load(SOURCE), Text(SOURCE)
    history = text.encode("My fellow Americans")
    parameters = {"max_new_tokens": 20, "details": True}
    answer = server.post("/generate", {"inputs": "My fellow Americans", "parameters": parameters}).json
    for token in answer["details"]["tokens"]:
        expected = model.distribution(history)
        assert token["id"] == int(expected.argmax())
        assert token["logprob"] == pytest.approx(float(np.log(expected.max())), abs=1e-4)
        history.append(token["id"])


def test_seed_repeats_whatever_else_runs(server):
    body = {"inputs": "The", "parameters": {"max_new_tokens": 40, "do_sample": True, "seed": 5}}
    alone = server.post("/generate", body).json
    with ThreadPoolExecutor(8) as pool:
        busy = [pool.submit(server.post, "/generate", body) for _ in range(8)]
        assert all(one.result().json == alone for one in busy)


def test_sampling_parameters_apply(server):
    parameters = {"max_new_tokens": 30, "top_k": 1}
    greedy = {"inputs": "The", "parameters": {"max_new_tokens": 30}}
    assert (
        server.post("/generate", {"inputs": "The", "parameters": parameters}).json
        == server.post("/generate", greedy).json
    )


def test_chat_and_info(server):
    body = {"messages": [{"role": "user", "content": "The sea"}], "max_tokens": 5}
    answer = server.post("/v1/chat/completions", body).json
    assert answer["usage"]["completion_tokens"] == 5
    assert server.get("/info").json["model_pipeline_tag"] == "text-generation"


def test_tokenizer_is_the_one_of_the_gpt():
    files = [(KIT / model / "tokenizer.json").read_bytes() for model in ("ngram", "tiny-gpt2")]
    assert files[0] == files[1], "or perplexities could not be compared"
