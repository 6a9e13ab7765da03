"""Broken stack files and every message they give, whole.

`broken/x.yaml` is a stack file, `broken/x.txt` its messages. After a change of wording:
`UPDATE_GOLDEN=1 pytest tests/unit/settings`, then read the difference.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.settings import SettingsError, load

BROKEN = Path(__file__).parent / "broken"
CASES = sorted(file.stem for file in BROKEN.glob("*.yaml"))
PLAINTEXT = "sk-plaintext"
DEFAULTS = Path(__file__).resolve().parents[3] / "stacks" / "defaults.yaml"


def errors_of(case: str, root: Callable[..., Path]) -> list[str]:
    folder = root(defaults=DEFAULTS.read_text(encoding="utf-8"))
    (folder / "stacks" / "Pulumi.x.yaml").write_bytes((BROKEN / f"{case}.yaml").read_bytes())
    with pytest.raises(SettingsError) as caught:
        load("x", folder)
    return caught.value.errors


@pytest.mark.parametrize("case", CASES)
def test_broken_file_gives_exactly_these_messages(case: str, root: Callable[..., Path]) -> None:
    errors = errors_of(case, root)
    expected = BROKEN / f"{case}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        expected.write_text("".join(f"{error}\n" for error in errors), encoding="utf-8")
    assert errors == expected.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("case", CASES)
def test_no_message_prints_a_secret(case: str, root: Callable[..., Path]) -> None:
    assert PLAINTEXT not in "\n".join(errors_of(case, root))


def test_thirty_files_are_broken_in_their_own_way() -> None:
    texts = {(BROKEN / f"{case}.txt").read_text(encoding="utf-8") for case in CASES}
    assert len(texts) == len(CASES) >= 30


def test_six_mistakes_give_six_errors(root: Callable[..., Path]) -> None:
    assert len(errors_of("six_mistakes", root)) == 6
