"""Which Python the language host runs a project with, and how it shows a program's error."""

import sys
from pathlib import Path

import pytest

from infra.toolchain.language_host import child, interpreter
from infra.toolchain.language_host.interpreter import InterpreterError


def _virtualenv(folder: Path) -> Path:
    python = folder / "bin/python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    return python


def test_the_environment_that_the_project_names(tmp_path: Path) -> None:
    python = _virtualenv(tmp_path / "envs/one")
    chosen = interpreter.choose(tmp_path, {"virtualenv": "envs/one/"}, {})
    assert chosen.python == str(python)
    values = chosen.environment({"PATH": "/bin", "PYTHONHOME": "/elsewhere", "KEPT": "yes"})
    assert values == {"PATH": f"{python.parent}:/bin", "VIRTUAL_ENV": str(tmp_path / "envs/one"), "KEPT": "yes"}


def test_the_environment_that_uv_makes(tmp_path: Path) -> None:
    python = _virtualenv(tmp_path / ".venv")
    assert interpreter.choose(tmp_path, {"toolchain": "uv"}, {}).python == str(python)


def test_no_environment_is_the_wish_of_the_user_or_this_python(tmp_path: Path) -> None:
    assert interpreter.choose(tmp_path, {}, {}).python == sys.executable
    chosen = interpreter.choose(tmp_path, {"toolchain": "pip"}, {"PULUMI_PYTHON_CMD": "python3.12"})
    assert (chosen.python, chosen.environment({"PATH": "/bin"})) == ("python3.12", {"PATH": "/bin"})


def test_a_folder_that_is_no_environment_is_told(tmp_path: Path) -> None:
    (tmp_path / ".venv").mkdir()
    with pytest.raises(InterpreterError, match=r"\.venv is not a virtual environment"):
        interpreter.choose(tmp_path, {"virtualenv": ".venv"}, {})


def test_a_manager_that_is_not_asked_is_told(tmp_path: Path) -> None:
    with pytest.raises(InterpreterError, match=r"toolchain: poetry .* Name it"):
        interpreter.choose(tmp_path, {"toolchain": "poetry"}, {})


def test_an_error_keeps_its_cause_and_loses_the_frames_of_the_host(tmp_path: Path) -> None:
    main = tmp_path / "__main__.py"
    main.write_text("try:\n    {}['key']\nexcept KeyError as error:\n    raise ValueError('no key') from error\n")
    with pytest.raises(ValueError, match="no key") as caught:
        child.run_script(str(tmp_path), [])
    shown = child.describe(caught.value, main)
    assert shown.index("KeyError: 'key'") < shown.index("ValueError: no key")
    assert "runpy" not in shown
    assert "child.py" not in shown


def test_an_error_elsewhere_is_shown_whole(tmp_path: Path) -> None:
    error = ValueError("from a thread")
    assert child.describe(error, tmp_path / "__main__.py") == "ValueError: from a thread\n"
