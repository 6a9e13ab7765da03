"""The kit's four models together, as the local stack runs them."""

import json
from pathlib import Path

import numpy as np
import pytest

from infra.toolchain import ensure
from serving.store import stage
from serving.store.kit import EMBEDDINGS, KIT

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def minilm() -> Path:
    """Fetched when it is not there."""
    return ensure("minilm")


@pytest.fixture(scope="module")
def embed(minilm, serve_folder, tmp_path_factory):
    return serve_folder(stage(minilm, tmp_path_factory.mktemp("minilm"), name=EMBEDDINGS).path)


@pytest.fixture(scope="module")
def repair(serve):
    return serve("tiny-t5")


def test_minilm_is_close_to_a_forward_pass_in_full_precision(embed, minilm, bert_reference):
    reference = bert_reference(minilm)
    sentences = ["How do I reset my password?", "The whale sounded.", "a"]
    vectors = embed.post("/embed", {"inputs": sentences}).json
    for vector, sentence in zip(vectors, sentences, strict=True):
        assert len(vector) == 384
        assert np.dot(vector, reference.embed(sentence)) > 0.99, "int8 weights"


def test_minilm_knows_what_belongs_together(embed):
    pairs = [
        ("How do I reset my password?", "I forgot my login credentials."),
        ("A man is eating food.", "Someone is having a meal."),
        ("The stock market fell today.", "Share prices dropped this afternoon."),
    ]
    first, second = (np.array(embed.post("/embed", {"inputs": list(side)}).json) for side in zip(*pairs, strict=True))
    similarity = first @ second.T
    assert similarity.argmax(axis=1).tolist() == [0, 1, 2]
    assert similarity.diagonal().min() > 0.4
    assert (similarity - np.diag(similarity.diagonal())).max() < 0.35


def test_repair_mends_most_of_the_samples(repair):
    info = repair.get("/info").json
    assert info["model_pipeline_tag"] == "text2text-generation"
    answer = repair.post("/generate", {"inputs": "teh whale", "parameters": {"max_new_tokens": 20}}).json
    assert answer["generated_text"]


def test_four_models_take_less_than_half_a_gigabyte_and_start_in_seconds(embed, repair, serve):
    servers = {"embed": embed, "repair": repair, "chat": serve("tiny-gpt2"), "ngram": serve("ngram")}
    servers["chat"].post("/generate", {"inputs": "The whale", "parameters": {"max_new_tokens": 400}})
    resident = {}
    for name, server in servers.items():
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        resident[name] = int(status.split("VmRSS:")[1].split()[0]) / 1024
        assert server.log[0]["start_seconds"] < 10
    assert sum(resident.values()) < 512, resident


def test_sources_are_small_and_say_where_they_come_from():
    total = 0
    for folder in (path.parent for path in KIT.glob("*/config.json")):
        assert "public domain" in (folder / "README.md").read_text(encoding="utf-8"), folder.name
        assert json.loads((folder / "config.json").read_text())["model_type"]
        total += sum(path.stat().st_size for path in folder.iterdir())
    assert total < 25e6
