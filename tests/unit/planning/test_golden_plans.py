"""The plans of the stacks that come with the kit, as people and machines read them.

`UPDATE_GOLDEN=1 pytest tests/unit/planning`, then read the difference.
"""

import json
import os
from pathlib import Path

import pytest

from infra.planning import parse_plan, plan
from infra.planning.report import report
from infra.settings import load

ROOT = Path(__file__).parents[3]
GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("stack", ["dev", "staging", "prod"])
def test_plan_of_a_stack_is_as_reviewed(stack: str) -> None:
    made = plan(load(stack, ROOT))
    text, content = report(made), f"{made.to_json(indent=1)}\n"
    for file, found in ((GOLDEN / f"{stack}.txt", text), (GOLDEN / f"{stack}.json", content)):
        if os.environ.get("UPDATE_GOLDEN"):
            file.write_text(found)
        assert file.read_text() == found, f"{file.name} differs; UPDATE_GOLDEN=1 writes it anew"
    assert parse_plan(json.loads(content)) == made


@pytest.mark.parametrize("stack", ["dev", "staging", "prod"])
def test_a_deployed_plan_changes_nothing(stack: str) -> None:
    """The next preview, with the deployed plan at hand, is the same plan."""
    deployed = parse_plan((GOLDEN / f"{stack}.json").read_text())
    assert plan(load(stack, ROOT), previous=deployed) == deployed


@pytest.mark.parametrize("stack", ["dev", "staging", "prod"])
def test_a_plan_is_one_screen(stack: str) -> None:
    lines = (GOLDEN / f"{stack}.txt").read_text().splitlines()
    assert len(lines) <= 50
    assert max(map(len, lines)) <= 120
