"""The figures in the README are the measured ones, and what it names exists."""

import json
import re
from pathlib import Path

import pytest

import serving.local_engine
from serving.store.kit import KIT

FOLDER = Path(serving.local_engine.__file__).parent
README = (FOLDER / "README.md").read_text(encoding="utf-8")
ROWS = {
    "ngram-3": "n-gram, order 3 (`ngram-3`)",
    "ngram": "n-gram, order 5 (`ngram`)",
    "tiny-gpt2": "GPT (`tiny-gpt2`)",
    "order 3, unpruned": "n-gram, order 3, unpruned",
    "order 5, unpruned": "n-gram, order 5, unpruned",
}


@pytest.mark.parametrize(("model", "row"), ROWS.items())
def test_perplexities_are_those_that_were_measured(model: str, row: str):
    measured = json.loads((KIT / "perplexity.json").read_text(encoding="utf-8"))
    expected = (measured["models"] | measured["not_kept"])[model]["held_out"]
    written = re.search(rf"^\| {re.escape(row)} \| ([\d.]+) \|", README, re.MULTILINE)
    assert written, f"no row {row!r}"
    assert float(written[1]) == round(expected, 1)


@pytest.mark.parametrize("model", ["ngram-3", "ngram", "tiny-gpt2"])
def test_sizes_are_those_of_the_weights(model: str):
    size = (KIT / model / "model.safetensors").stat().st_size / 1e6
    assert f"(`{model}`) | " in README
    row = next(line for line in README.splitlines() if f"(`{model}`) |" in line)
    assert f"| {size:.1f} MB |" in row


def test_every_flag_and_module_that_it_names_exists():
    options = (FOLDER / "options.py").read_text(encoding="utf-8")
    for flag in set(re.findall(r"`(--[a-z-]+)", README)):
        assert f'"{flag}"' in options, flag
    for folder in set(re.findall(r"\]\((models/[a-z0-9-]+)\)", README)):
        assert (FOLDER / folder / "config.json").is_file(), folder
