"""Measure the kit's models on held-out text; write models/perplexity.json, models/repair.json and the samples.

    python -m serving.local_engine.training.corpus --out CORPUS
    python -m serving.local_engine.training.evaluate --corpus CORPUS

Takes a minute or two with the kit's own environment. The samples are a part of the held-out text that is kept in the
repository, so that a test can repeat the measurement without the corpus.
"""

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from serving.local_engine.ngram import NGram
from serving.local_engine.training import corpus, measures, scores
from serving.local_engine.training.tokens import stream
from serving.local_engine.training.train_ngram import TABLES, UNPRUNED
from serving.local_engine.training.typos import pairs
from serving.store import stage
from serving.store.kit import KIT

SAMPLES = Path(__file__).parent / "samples"
HELD_OUT = SAMPLES / "held_out.txt"
SAMPLE_DOCUMENTS = 5
"""The first of the held-out documents, 86 kB."""
PAIRS_SEED, PAIRS = 12, 1000
PERPLEXITY_METHOD = (
    "exp of the mean negative natural log-probability per token, of every token but the first, documents in one stream "
    "with an end token after each; n-gram models know the tokens before, tiny-gpt2 has windows of "
    f"{measures.WINDOW} tokens of which {measures.OVERLAP} are context only; all share one tokenizer, so the figures "
    "compare with each other, and not with those of other tokenizers"
)
REPAIR_METHOD = (
    f"{PAIRS} held-out sentences of 20 to 160 characters with synthetic mistakes in one word of eight, at least one "
    "(typos.py); greedy decoding by CTranslate2 in fp32; errors are Levenshtein edits by characters of the right text"
)


def perplexities(folder: Path, store: Path) -> dict[str, Any]:
    """Return the figures of the committed language models, and of unpruned n-gram models of the same training text."""
    parts = {"held_out": corpus.read(folder / "valid.txt"), "sample": corpus.read(HELD_OUT)}
    ids = {name: stream(documents) for name, documents in parts.items()}
    gpt2 = stage(KIT / "tiny-gpt2", store).path
    models = {
        name: {part: _rounded(NGram.load(KIT / name).perplexity(ids[part])) for part in ids} for name in sorted(TABLES)
    }
    models["tiny-gpt2"] = {part: _rounded(measures.gpt2_perplexity(gpt2, ids[part])) for part in ids}
    train = stream(corpus.read(folder / "train.txt"))
    return {
        "method": PERPLEXITY_METHOD,
        "tokens": {"train": len(train), **{part: len(found) for part, found in ids.items()}},
        "models": models,
        "not_kept": {
            f"{name}, unpruned": {part: _rounded(table.train(train).perplexity(ids[part])) for part in ids}
            for name, table in UNPRUNED.items()
        },
    }


def repairs(folder: Path, store: Path) -> dict[str, Any]:
    """Return how well the committed T5 repairs held-out sentences, and how often it leaves right ones alone."""
    chosen = pairs(corpus.read(folder / "valid.txt"), PAIRS_SEED, PAIRS)
    wrong, right = [pair[0] for pair in chosen], [pair[1] for pair in chosen]
    version = stage(KIT / "tiny-t5", store).path
    untouched = scores.score(right, right, measures.repaired(version, right))
    return {
        "method": REPAIR_METHOD,
        "sentences": len(chosen),
        "misspelled": asdict(scores.score(wrong, right, measures.repaired(version, wrong))),
        "right_already": asdict(untouched),
    }


def _rounded(value: float) -> float:
    return round(value, 3)


def _write(path: Path, figures: dict[str, Any]) -> None:
    path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Write the samples and the figures."""
    parser = argparse.ArgumentParser(description="Measure the kit's models.")
    parser.add_argument("--corpus", type=Path, required=True, metavar="DIR")
    options = parser.parse_args()
    held_out = corpus.read(options.corpus / "valid.txt")
    HELD_OUT.write_text(corpus.DOCUMENT_END.join(held_out[:SAMPLE_DOCUMENTS]), encoding="utf-8")
    with tempfile.TemporaryDirectory() as store:
        _write(KIT / "perplexity.json", perplexities(options.corpus, Path(store)))
        _write(KIT / "repair.json", repairs(options.corpus, Path(store)))


if __name__ == "__main__":
    main()
