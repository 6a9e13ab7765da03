# mypy: disable-error-code="import-not-found"
"""Write samples/repair_pairs.json: 50 held-out sentences, misspelled and right, and what transformers makes of them.

In the trainer's environment (train_t5.py), after training:

    TRAIN_ENV/bin/python -m serving.local_engine.training.reference

Takes seconds. The third form is what a test compares the conversion to CTranslate2 with.
"""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from transformers import AutoTokenizer, T5ForConditionalGeneration

from serving.local_engine.training import corpus, scores
from serving.local_engine.training.typos import pairs

HERE = Path(__file__).parent
MODEL = HERE.parent / "models" / "tiny-t5"
SEED, COUNT = 13, 50


def greedy(sentences: list[str]) -> list[str]:
    """Return what transformers makes of each sentence, in fp32, one at a time."""
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    model = T5ForConditionalGeneration.from_pretrained(MODEL, dtype=torch.float32).eval()
    outcome = []
    for sentence in sentences:
        encoded = tokenizer(sentence, return_tensors="pt")
        with torch.no_grad():
            ids = model.generate(
                input_ids=encoded.input_ids,
                attention_mask=encoded.attention_mask,
                max_new_tokens=scores.MAX_REPAIRED_TOKENS,
            )
        outcome.append(tokenizer.decode(ids[0], skip_special_tokens=True))
    return outcome


def main() -> None:
    """Write the file."""
    chosen = pairs(corpus.read(HERE / "samples" / "held_out.txt"), SEED, COUNT)
    wrong, right = [pair[0] for pair in chosen], [pair[1] for pair in chosen]
    outcome = greedy(wrong)
    figures = {
        "transformers": asdict(scores.score(wrong, right, outcome)),
        "pairs": [
            {"misspelled": a, "right": b, "transformers": c} for a, b, c in zip(wrong, right, outcome, strict=True)
        ],
    }
    text = json.dumps(figures, indent=1, ensure_ascii=False)
    (HERE / "samples" / "repair_pairs.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
