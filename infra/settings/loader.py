"""From two files to the settings of a stack, or to everything that is wrong with them."""

import re
from pathlib import Path as File

from infra.settings.config import encrypted, meant_section, sections
from infra.settings.document import CONFIG, parse
from infra.settings.draft import draft
from infra.settings.messages import Path, Problem, SettingsError, did_you_mean, shown
from infra.settings.origins import Tree, merge, place
from infra.settings.rules import RULES
from infra.settings.settings import KEYS, Settings, stack_file

DEFAULTS = "stacks/defaults.yaml"
"""Lies under every stack file."""

_STACK = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


def load(stack: str, root: File) -> Settings:
    """Reads, merges and checks the settings of a stack; reads nothing but its two files.

    Args:
        stack: The stack's name, such as `local`, without organisation or project.
        root: The folder that holds `stacks/`.

    Raises:
        SettingsError: with every problem in the two files, by file and line.
    """
    if not _STACK.fullmatch(stack):
        text = f"{shown(stack)} is not a stack's name; write one such as local"
        raise SettingsError([Problem("stacks", 0, (), text)])
    name = stack_file(stack)
    if not (root / name).is_file():
        raise SettingsError([Problem(name, 0, (), _no_such_file(stack, root))])
    problems: list[Problem] = []
    below, above = _read(root, DEFAULTS, problems), _read(root, name, problems)
    misplaced: list[Problem] = []
    lower, _ = sections(below, DEFAULTS, misplaced)
    upper, others = sections(above, name, misplaced)
    tree = merge(lower, upper)
    problems += _secrets_in_defaults(lower)
    checked, found = draft(tree, stack, others, _broken(problems) | _meant(misplaced, tree))
    found += [(path, text) for rule in RULES for path, text in rule(checked) if checked.sound(*path)]
    problems += misplaced
    problems += [_placed(tree, name, path, text) for path, text in found]
    if problems:
        raise SettingsError(problems)
    return checked.finish()


def stacks(root: File) -> list[str]:
    """Names of all stacks that have a file."""
    return sorted(file.name[len("Pulumi.") : -len(".yaml")] for file in (root / "stacks").glob("Pulumi.*.yaml"))


def _read(root: File, name: str, problems: list[Problem]) -> Tree:
    """The tree of a file; of no file, an empty one.

    Raises:
        SettingsError: the file cannot be read or parsed, so there is nothing to check.
    """
    try:
        text = (root / name).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return Tree(None)
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise SettingsError([Problem(name, line, (), "is not UTF-8 text; save the file as UTF-8")]) from None
    except OSError as error:
        raise SettingsError([Problem(name, 0, (), f"cannot be read: {error.strerror}")]) from None
    tree, found = parse(text, name)
    if tree.value is None and found:
        raise SettingsError(found)
    problems += found
    return tree


def _no_such_file(stack: str, root: File) -> str:
    known = stacks(root)
    if not known:
        return "there is no such file, nor any other stack; is this the folder of the repository?"
    return f"there is no such file; the stacks are {', '.join(known)}{did_you_mean(stack, known)}"


def _secrets_in_defaults(lower: Tree) -> list[Problem]:
    text = "is encrypted, but defaults are read by all stacks and each has its own key; move it to the stack files"
    return [_placed(lower, DEFAULTS, path, text) for path in encrypted(lower)]


def _broken(problems: list[Problem]) -> frozenset[Path]:
    """Where nothing more need be said."""
    return frozenset(problem.path for problem in problems if problem.path)


def _meant(misplaced: list[Problem], tree: Tree) -> frozenset[Path]:
    """Sections that were written under a wrong key: that the right one is missing follows from it."""
    if any(problem.path in ((), (CONFIG,)) for problem in misplaced):
        return frozenset((section,) for section in Settings.model_fields)
    keys = [meant_section(str(problem.path[0])) for problem in misplaced]
    return frozenset((KEYS[key],) for key in keys if key) - tree.origins.keys()


def _placed(tree: Tree, file: str, path: Path, text: str) -> Problem:
    origin = place(tree.origins, path, file)
    return Problem(origin.file, origin.line, path, text)
