"""BERT-style encoders on CTranslate2, with mean or CLS pooling."""

import json
from collections.abc import Sequence
from pathlib import Path

import ctranslate2
import numpy as np

from serving.local_engine.embedding import Embedding, Vectors

MAX_BATCH_TOKENS = 4096
"""Tokens of one forward pass, padding included. TEI's default is 16,384 on a GPU; here it bounds memory and delay."""


class Encoder:
    """Turns token ids into one vector an input."""

    def __init__(self, folder: Path, pooling: str, *, workers: int) -> None:
        if pooling not in {"mean", "cls"}:
            raise ValueError(f"pooling {pooling!r} is not supported; it must be mean or cls")
        self.pooling = pooling
        self.width = 0
        """Numbers in a vector, known after the first probe."""
        # intra_threads: OpenMP teams stall in barriers on cores that others use too.
        self._encoder = ctranslate2.Encoder(str(folder), device="cpu", inter_threads=workers, intra_threads=1)

    def select(self, waiting: Sequence[Embedding], limit: int) -> list[Embedding]:
        """Requests from the head of the queue whose inputs fit one forward pass."""
        chosen: list[Embedding] = []
        rows = longest = 0
        for job in waiting[:limit]:
            rows += len(job.inputs)
            longest = max(longest, *(len(ids) for ids in job.inputs))
            if chosen and rows * longest > MAX_BATCH_TOKENS:
                break
            chosen.append(job)
        return chosen

    def run(self, batch: list[Embedding]) -> None:
        """Forward passes over inputs of similar length, whatever request they belong to."""
        flat = [ids for job in batch if not job.cancelled for ids in job.inputs]
        order = sorted(range(len(flat)), key=lambda index: len(flat[index]))
        vectors: dict[int, Vectors] = {}
        while order:
            rows = max(1, min(len(order), MAX_BATCH_TOKENS // len(flat[order[-1]])))
            taken, order = order[-rows:], order[:-rows]
            vectors.update(zip(taken, self._pooled([flat[index] for index in taken]), strict=True))
        at = 0
        for job in batch:
            if not job.cancelled:
                job.add(np.stack([vectors[index] for index in range(at, at + len(job.inputs))]))
                at += len(job.inputs)

    def probe(self) -> None:
        """Encode one token."""
        self.width = len(self._pooled([[0]])[0])

    def _pooled(self, inputs: list[list[int]]) -> list[Vectors]:
        hidden = np.array(self._encoder.forward_batch(inputs).last_hidden_state)
        if self.pooling == "cls":
            return list(hidden[:, 0])
        return [rows[: len(ids)].mean(axis=0) for rows, ids in zip(hidden, inputs, strict=True)]


def pooling(folder: Path) -> str:
    """How sentence-transformers pools this model (1_Pooling/config.json); mean when it does not say."""
    path = folder / "1_Pooling" / "config.json"
    if not path.is_file():
        return "mean"
    config = json.loads(path.read_text(encoding="utf-8"))
    chosen = [name for name, on in config.items() if name.startswith("pooling_mode_") and on]
    return {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}.get("+".join(chosen), "+".join(chosen))
