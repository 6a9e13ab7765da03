# mypy: disable-error-code="import-not-found"
r"""Train `tiny-t5`: an encoder and a decoder that repair misspelled English sentences.

Trainer's environment (not one of the kit's dependencies), made once outside the repository, about 40 s:

    uv venv --python 3.11 TRAIN_ENV
    uv pip install --python TRAIN_ENV torch==2.15.0 transformers==5.24.0 tokenizers==0.23.3 safetensors==0.8.0

    python -m serving.local_engine.training.corpus --out CORPUS
    OMP_WAIT_POLICY=PASSIVE TRAIN_ENV/bin/python -m serving.local_engine.training.train_t5 \
        --corpus CORPUS --out DIR --steps 8000

The kit's weights took 0.9 CPU-seconds a step, in under 3 GB; DIR has the model so far after every CHECKPOINT_STEPS.
Without OMP_WAIT_POLICY the two threads spin at each other's barriers, and a step takes up to ten times longer when
something else runs.

Writes the Hugging Face layout of T5: config.json, generation_config.json, model.safetensors (fp16), tokenizer.json,
tokenizer_config.json, and training.json with what was measured on the way.
"""

import argparse
import itertools
import json
import math
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch.nn import functional
from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

from serving.local_engine.training import corpus
from serving.local_engine.training.typos import corrupt, pairs, sentences

PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"
VOCABULARY = 1024
"""Small on purpose: a misspelled word falls into pieces, and large pieces hide its letters."""
MAX_TOKENS = 64
BATCH_TOKENS = 2560
"""Padded tokens of a batch, on either side."""
HIGHEST_RATE = 0.35
"""Of words misspelled in training; more than when measured, so that a step teaches more."""
CHECKPOINT_STEPS = 500
AVERAGE_DECAY = 0.998
"""Of the running average of the weights, which is what is kept."""
HELD_OUT_SEED, HELD_OUT_PAIRS = 11, 400


def make_tokenizer(documents: list[str]) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer with T5's three special tokens at 0, 1 and 2; it ends each text with END."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, END, UNKNOWN],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((line for text in documents for line in text.split("\n")), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {END}", special_tokens=[(END, 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=END, unk_token=UNKNOWN, model_max_length=512
    )


def make_model() -> T5ForConditionalGeneration:
    """Return an untrained model of 2.26 M parameters; its shape favours the encoder, which decides what is wrong."""
    return T5ForConditionalGeneration(
        T5Config(
            vocab_size=VOCABULARY,
            d_model=192,
            d_kv=32,
            num_heads=6,
            d_ff=256,
            num_layers=4,
            num_decoder_layers=2,
            feed_forward_proj="gated-gelu",
            relative_attention_num_buckets=32,
            relative_attention_max_distance=64,
            dropout_rate=0.0,
            pad_token_id=0,
            eos_token_id=1,
            decoder_start_token_id=0,
        )
    )


def windows(text: str, rng: random.Random) -> Iterator[str]:
    """Yield a document's sentences, long ones cut into runs of words, some cut short as people's questions are."""
    for sentence in sentences(text, shortest=1, longest=100_000):
        words = sentence.split(" ")
        while words:
            taken = rng.randint(4, 28) if len(words) > 24 or rng.random() < 0.2 else len(words)
            yield " ".join(words[:taken])
            words = words[taken:]


class Examples:
    """An endless supply of batches, each time with other mistakes in the sentences."""

    def __init__(self, documents: list[str], tokenizer: PreTrainedTokenizerFast, seed: int) -> None:
        self._documents = documents
        # A copy, because measuring switches padding on in the tokenizer it is given.
        self._encode = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str()).encode_batch
        self._rng = random.Random(seed)  # noqa: S311 - reproducible training data
        self.epochs = 0

    def _texts(self) -> Iterator[str]:
        while True:
            texts = [window for text in self._documents for window in windows(text, self._rng)]
            self._rng.shuffle(texts)
            yield from texts
            self.epochs += 1

    def _pairs(self) -> Iterator[tuple[list[int], list[int]]]:
        texts = self._texts()
        while True:
            right = [next(texts) for _ in range(1024)]
            wrong = [corrupt(text, self._rng, self._rng.uniform(0, HIGHEST_RATE)) for text in right]
            both = zip(self._encode(wrong), self._encode(right), strict=True)
            short = [(a.ids, b.ids) for a, b in both if max(len(a.ids), len(b.ids)) <= MAX_TOKENS]
            yield from sorted(short, key=lambda pair: max(map(len, pair)))

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield (source, target) token ids of similar lengths, padded with 0, in random order."""
        batches: list[list[tuple[list[int], list[int]]]] = []
        batch: list[tuple[list[int], list[int]]] = []
        for pair in self._pairs():
            longest = max(max(map(len, other)) for other in [*batch, pair])
            if longest * (len(batch) + 1) > BATCH_TOKENS or (batch and longest > 2 * len(batch[0][1]) + 8):
                batches.append(batch)
                batch = []
            batch.append(pair)
            if len(batches) >= 32:
                self._rng.shuffle(batches)
                yield from ((_pad(source), _pad(target)) for source, target in (zip(*b, strict=True) for b in batches))
                batches = []


def _pad(rows: tuple[list[int], ...]) -> torch.Tensor:
    width = max(map(len, rows))
    return torch.tensor([row + [0] * (width - len(row)) for row in rows])


class Average:
    """Running average of a model's weights: a model part-way through training answers with it as if it were done."""

    def __init__(self, model: T5ForConditionalGeneration) -> None:
        self.model = make_model()
        self.model.load_state_dict(model.state_dict())
        self.model.eval()
        self._steps = 0

    def update(self, model: T5ForConditionalGeneration) -> None:
        """Move a little towards `model`'s weights; at first more, so that the untrained ones are soon forgotten."""
        self._steps += 1
        keep = min(AVERAGE_DECAY, (1 + self._steps) / (10 + self._steps))
        with torch.no_grad():
            for mine, theirs in zip(self.model.parameters(), model.parameters(), strict=True):
                mine.lerp_(theirs, 1 - keep)


def make_optimizers(model: T5ForConditionalGeneration, scale: float) -> list[Any]:
    """Return Muon for the blocks' matrices and AdamW for the rest; rates are those of the plateau, times `scale`.

    T5 does not divide attention scores by the root of the head's width, so its queries learn slower by that root.
    """
    matrices = {n: p for n, p in model.named_parameters() if p.ndim == 2 and "block" in n and "bias" not in n}
    queries = [p for n, p in matrices.items() if n.endswith(".q.weight")]
    others = [p for n, p in matrices.items() if not n.endswith(".q.weight")]
    rest = [p for n, p in model.named_parameters() if n not in matrices]
    rate = 0.02 * scale
    groups = [{"params": others, "lr": rate}, {"params": queries, "lr": rate * model.config.d_kv**-0.5}]
    return [
        torch.optim.Muon(groups, lr=rate, weight_decay=0.01, momentum=0.95),
        torch.optim.AdamW(rest, lr=4e-3 * scale, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def repair_rate(model: T5ForConditionalGeneration, tokenizer: Any, held_out: list[tuple[str, str]]) -> float:
    """Return the share of held-out sentences that greedy decoding repairs exactly."""
    right = 0
    for start in range(0, len(held_out), 50):
        wrong, wanted = zip(*held_out[start : start + 50], strict=True)
        encoded = tokenizer(list(wrong), return_tensors="pt", padding=True)
        with torch.no_grad():
            ids = model.generate(
                input_ids=encoded.input_ids, attention_mask=encoded.attention_mask, max_new_tokens=MAX_TOKENS + 16
            )
        found = tokenizer.batch_decode(ids, skip_special_tokens=True)
        right += sum(a == b for a, b in zip(found, wanted, strict=True))
    return right / len(held_out)


def save(model: T5ForConditionalGeneration, tokenizer: Any, record: dict[str, Any], out: Path) -> None:
    """Write the model as fp16 with its tokenizer and the record of its training."""
    half = make_model()
    half.load_state_dict(model.state_dict())
    half.half().save_pretrained(out)
    tokenizer.save_pretrained(out)
    (out / "training.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def rate_at(step: int, steps: int) -> float:
    """Return the learning rate as a share of the plateau's: warm-up of 100 steps, plateau, linear decay from 40 %."""
    return min(1.0, (step + 1) / 100, max(0.01, (1 - step / steps) / 0.6))


def train(folder: Path, out: Path, steps: int, scale: float) -> None:
    """Train for `steps` steps; save and report the model so far after every CHECKPOINT_STEPS and at the end."""
    documents = corpus.read(folder / "train.txt")
    held_out = pairs(corpus.read(folder / "valid.txt"), HELD_OUT_SEED, HELD_OUT_PAIRS)
    tokenizer = make_tokenizer(documents)
    torch.manual_seed(0)
    model = make_model()
    average = Average(model)
    optimizers = make_optimizers(model, scale)
    plateau = [[group["lr"] for group in optimizer.param_groups] for optimizer in optimizers]
    examples = Examples(documents, tokenizer, seed=1)
    started, tokens, losses = time.process_time(), 0, []
    for step, (source, target) in enumerate(itertools.islice(examples, steps), start=1):
        for optimizer, rates in zip(optimizers, plateau, strict=True):
            for group, highest in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = highest * rate_at(step, steps)
        losses.append(_step(model, optimizers, source, target))
        average.update(model)
        tokens += int((target != 0).sum())
        if step % CHECKPOINT_STEPS == 0 or step == steps:
            record = {
                "steps": step,
                "epochs": examples.epochs,
                "target_tokens": tokens,
                "cpu_seconds": round(time.process_time() - started),
                "loss": round(sum(losses) / len(losses), 4),
                "repaired_exactly": round(repair_rate(average.model, tokenizer, held_out), 4),
            }
            save(average.model, tokenizer, record, out)
            sys.stdout.write(json.dumps(record) + "\n")
            sys.stdout.flush()
            losses = []


def _step(model: Any, optimizers: list[Any], source: torch.Tensor, target: torch.Tensor) -> float:
    before = functional.pad(target[:, :-1], (1, 0))  # the decoder starts from the padding token
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(input_ids=source, attention_mask=(source != 0).long(), decoder_input_ids=before).logits
    loss = functional.cross_entropy(logits.float().flatten(0, 1), target.flatten(), ignore_index=0)
    loss.backward()
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    value = float(loss.item())
    if not math.isfinite(value):
        raise FloatingPointError(f"training loss is {value}: lower --rate-scale")
    return value


def main() -> None:
    """Train with the folders and the time given on the command line."""
    parser = argparse.ArgumentParser(description="Train tiny-t5.")
    parser.add_argument("--corpus", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--rate-scale", type=float, default=1.0)
    options = parser.parse_args()
    torch.set_num_threads(2)
    train(options.corpus, options.out, options.steps, options.rate_scale)


if __name__ == "__main__":
    main()
