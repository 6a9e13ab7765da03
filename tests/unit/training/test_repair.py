"""tiny-t5 on the committed sample: converted, it says what transformers says, and repairs as much as was recorded."""

import json
from pathlib import Path

import pytest

from serving.local_engine.training import measures
from serving.local_engine.training.evaluate import SAMPLES
from serving.local_engine.training.scores import Repair, score
from serving.store import stage
from serving.store.kit import KIT

SAMPLE = json.loads((SAMPLES / "repair_pairs.json").read_text(encoding="utf-8"))
WRONG, RIGHT, TRANSFORMERS = (
    [pair[form] for pair in SAMPLE["pairs"]] for form in ("misspelled", "right", "transformers")
)
HELD_OUT = json.loads((KIT / "repair.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stage(KIT / "tiny-t5", tmp_path_factory.mktemp("store")).path


@pytest.fixture(scope="module")
def outcome(version: Path) -> list[str]:
    return measures.repaired(version, WRONG)


def test_conversion_decodes_what_transformers_decodes(outcome: list[str]):
    different = [pair for pair in zip(outcome, TRANSFORMERS, strict=True) if pair[0] != pair[1]]
    assert len(different) <= 1, different  # another CPU may round two nearly equal tokens the other way


def test_repair_rate_of_the_sample_is_reproduced(outcome: list[str]):
    recorded, found = Repair(**SAMPLE["transformers"]), score(WRONG, RIGHT, outcome)
    assert found.exact == pytest.approx(recorded.exact, abs=0.02)
    assert found.errors_before == recorded.errors_before
    assert found.errors_after == pytest.approx(recorded.errors_after, abs=0.005)


def test_repair_leaves_fewer_errors_than_there_were():
    misspelled = Repair(**HELD_OUT["misspelled"])
    assert misspelled.errors_after < 0.75 * misspelled.errors_before
    assert Repair(**HELD_OUT["right_already"]).exact > misspelled.exact


@pytest.mark.parametrize(
    ("misspelled", "right"),
    [
        ("I thank you for your suport.", "I thank you for your support."),
        ("We shall sail beofre the storm.", "We shall sail before the storm."),
    ],
)
def test_everyday_sentence_is_repaired(version: Path, misspelled: str, right: str):
    assert measures.repaired(version, [misspelled]) == [right]
