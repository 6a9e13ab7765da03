"""What README says of Kubernetes: its stack file can be planned, its program registers what it says."""

import shutil
from pathlib import Path

from infra.planning import plan
from infra.settings import load
from infra.tasks.session import ROOT
from tests.support.registrations import registrations

README = (ROOT / "README.md").read_text()


def test_the_stack_file_is_sound_and_can_be_planned(tmp_path: Path) -> None:
    (tmp_path / "stacks").mkdir()
    shutil.copy(ROOT / "stacks/defaults.yaml", tmp_path / "stacks")
    (tmp_path / "stacks/Pulumi.readme.yaml").write_text(README.split("```yaml\n")[2].split("```")[0])
    planned = plan(load("readme", tmp_path))
    assert planned.model("chat").gpu is not None
    assert not planned.notes


def test_a_component_alone() -> None:
    code = README.split("```python\n")[2].split("```")[0]
    made = registrations(lambda: exec(compile(code, "README.md", "exec"), {}))  # noqa: S102 - README is ours
    assert ("Deployment", "chat") in made
    assert ("berth:ModelServer", "chat") in made


def test_what_it_types_are_tasks() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for task in ("images", "doctor", "preview", "up", "down", "render"):
        assert f"make {task}" in README
        assert f" {task} " in makefile.split(".PHONY:")[1].splitlines()[0] + " "
