"""The committed perplexities are what the committed models give on the committed sample."""

import json

import pytest

from serving.local_engine.ngram import NGram
from serving.local_engine.training import corpus, measures
from serving.local_engine.training.evaluate import HELD_OUT
from serving.local_engine.training.tokens import stream
from serving.local_engine.training.train_ngram import TABLES
from serving.store import stage
from serving.store.kit import KIT

FIGURES = json.loads((KIT / "perplexity.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def sample() -> list[int]:
    return stream(corpus.read(HELD_OUT))


def test_sample_has_the_tokens_that_were_measured(sample: list[int]):
    assert len(sample) == FIGURES["tokens"]["sample"]


@pytest.mark.parametrize("name", sorted(TABLES))
def test_ngram_perplexity_is_reproduced(name: str, sample: list[int]):
    assert NGram.load(KIT / name).perplexity(sample) == pytest.approx(FIGURES["models"][name]["sample"], abs=0.002)


def test_default_ngram_predicts_better_than_the_one_of_order_three():
    assert FIGURES["models"]["ngram"]["held_out"] < FIGURES["models"]["ngram-3"]["held_out"]


def test_gpt2_perplexity_does_not_depend_on_where_windows_end(tmp_path):
    version = stage(KIT / "tiny-gpt2", tmp_path).path
    ids = stream(corpus.read(HELD_OUT)[:1])
    short = ids[: measures.WINDOW + 1]
    whole = measures.gpt2_perplexity(version, short, overlap=0)
    assert measures.gpt2_perplexity(version, short) == pytest.approx(whole, rel=1e-4)
    assert measures.gpt2_perplexity(version, ids) == pytest.approx(measures.gpt2_perplexity(version, ids, 0), rel=0.05)


@pytest.mark.parametrize("name", sorted(TABLES))
def test_language_models_share_one_tokenizer(name: str):
    assert (KIT / name / "tokenizer.json").read_bytes() == (KIT / "tiny-gpt2" / "tokenizer.json").read_bytes()
