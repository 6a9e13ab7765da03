"""Train `ngram` and `ngram-3`, the kit's n-gram models, with the kit's own environment.

    python -m serving.local_engine.training.corpus --out CORPUS
    python -m serving.local_engine.training.train_ngram --corpus CORPUS

Takes 15 s, most of it the tokenizer's, and writes config.json, model.safetensors and tiny-gpt2's tokenizer into the
models' folders. The same corpus gives the same bytes.
"""

import argparse
import shutil
from dataclasses import dataclass
from pathlib import Path

from serving.local_engine.ngram import NGram
from serving.local_engine.training import corpus
from serving.local_engine.training.tokens import TOKENIZER, stream
from serving.store.kit import KIT

VOCABULARY = 2048


@dataclass(frozen=True, slots=True)
class Table:
    """The shape of one n-gram model."""

    order: int
    cutoffs: tuple[int, ...]
    """Least count of a kept n-gram, by order."""

    def train(self, ids: list[int]) -> NGram:
        """Count and smooth."""
        return NGram.train(ids, self.order, VOCABULARY, cutoffs=self.cutoffs)


TABLES = {
    "ngram": Table(5, (1, 1, 2, 2, 2)),
    "ngram-3": Table(3, (1, 1, 2)),
}
"""Pruned of what was seen once, from order 3 on, for their size in the repository."""
UNPRUNED = {"order 3": Table(3, (1,) * 3), "order 5": Table(5, (1,) * 5)}
"""What pruning costs; measured, not kept."""


def main() -> None:
    """Write the models into --out, by default where the kit keeps them."""
    parser = argparse.ArgumentParser(description="Train the n-gram models.")
    parser.add_argument("--corpus", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, default=KIT, metavar="DIR")
    options = parser.parse_args()
    ids = stream(corpus.read(options.corpus / "train.txt"))
    for name, table in TABLES.items():
        folder = options.out / name
        table.train(ids).save(folder)
        for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
            shutil.copyfile(TOKENIZER / file, folder / file)


if __name__ == "__main__":
    main()
