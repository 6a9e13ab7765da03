"""A stack file's text as plain values with a line for each. YAML's traps are errors here, not surprises later."""

import re
from typing import Any

from yaml import MarkedYAMLError, YAMLError
from yaml.composer import Composer
from yaml.events import AliasEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from infra.settings.messages import Path, Problem, dotted
from infra.settings.origins import Origin, Tree
from infra.settings.secret import SecretRef, is_ciphertext

CONFIG = "config"
"""The key of a stack file under which the settings stand."""

_DEEPEST = 24
_TOO_DEEP = "nested too deep"
_ALIAS = "alias"
_PLAIN_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "map", "seq")}
# YAML 1.2's core schema, which the engine's reader and editors follow (PyYAML's own is 1.1: `no` false, `1:30` 90), but
# for what readers disagree on: `010`, `0x10`, `1_000` and `1e3` stay text, and the errors say how to write them.
_NULLS = {"", "~", "null", "Null", "NULL"}
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,18})")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)")


def parse(text: str, file: str) -> tuple[Tree, list[Problem]]:
    """Reads the text of a stack file.

    Returns:
        The tree of the whole file, and all problems found. What is broken is left out of the tree.
    """
    reading = _Reading(file)
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        reading.problem(line, (), f"the character U+{error.character:04X} is not allowed in YAML; remove it")
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reading.problem(mark.line + 1 if mark else 0, (), _syntax(error))
    except YAMLError as error:
        reading.problem(0, (), f"is not valid YAML: {error}")
    else:
        if node is not None:
            reading.tree.value = reading.plain(node, ())
    return reading.tree, reading.problems


class _Loader(Reader, Scanner, Parser, Composer, BaseResolver):
    """YAML's text to nodes: no constructors, so nothing in a file can make an object."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseResolver.__init__(self)
        self._depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        """A node; for an alias one that says so, and never the node it stands for, which may hold it."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if self.check_event(AliasEvent):
            self.get_event()  # type: ignore[no-untyped-call]
            return ScalarNode(_ALIAS, event.anchor, event.start_mark, event.end_mark)
        if self._depth > _DEEPEST:
            raise MarkedYAMLError(problem=_TOO_DEEP, problem_mark=event.start_mark)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


class _Reading:
    """One pass over a file's nodes: collects values, their lines and the problems."""

    def __init__(self, file: str) -> None:
        self.tree = Tree(None)
        self.problems: list[Problem] = []
        self._file = file

    def problem(self, line: int, path: Path, text: str) -> None:
        self.problems.append(Problem(self._file, line, settings_path(path), text))

    def plain(self, node: Node, path: Path) -> Any:
        if node.tag == _ALIAS:
            self.problem(
                node.start_mark.line + 1, path, f"'*{node.value}' copies another value; write the value itself"
            )
        elif node.tag not in _PLAIN_TAGS:
            tag = node.tag.replace("tag:yaml.org,2002:", "!!")
            self.problem(node.start_mark.line + 1, path, f"the tag '{tag}' is not read; write the value without it")
        match node:
            case MappingNode():
                return self._mapping(node, path)
            case SequenceNode():
                return [self._item(item, (*path, index)) for index, item in enumerate(node.value)]
            case _:
                return _scalar(node)

    def _item(self, node: Node, path: Path) -> Any:
        self.tree.origins[path] = Origin(self._file, node.start_mark.line + 1)
        value = self.plain(node, path)
        if value is None:
            self.problem(node.start_mark.line + 1, path, "is empty; write a value or remove the item")
        return value

    def _mapping(self, node: MappingNode, path: Path) -> Any:
        values: dict[str, Any] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, ScalarNode):
                self.problem(line, path, "a key must be a word, not a list or a mapping")
                continue
            below = (*path, key.value)
            if key.value == "<<" and key.style is None:
                self.problem(line, below, "YAML's merge key is not read; write the values themselves")
            elif key.value in values:
                first = self.tree.origins[below].line
                self.problem(line, below, f"is written twice, first in line {first}; keep one")
            else:
                self.tree.origins[below] = Origin(self._file, line)
                plain = self.plain(value, below)
                if plain is None and path[:1] == (CONFIG,):
                    self.problem(line, below, "is empty; write a value or remove the line")
                values[key.value] = plain
        return self._secret(values, path) if values.keys() == {"secure"} else values

    def _secret(self, values: dict[str, Any], path: Path) -> SecretRef | dict[str, Any]:
        if path[:1] != (CONFIG,) or len(path) < 2 or not isinstance(values["secure"], str):
            return values
        if not is_ciphertext(values["secure"]):
            text = (
                "holds something under 'secure' that Pulumi did not encrypt; let `pulumi config set --secret` write it"
            )
            self.problem(self.tree.origins[path].line, path, text)
        return SecretRef(str(path[1]), dotted(path[2:]))


def settings_path(path: Path) -> Path:
    """A path in the file as a path in the settings: `config`, `berth:models`, `chat` is `models`, `chat`."""
    if path[:1] == (CONFIG,) and len(path) > 1:
        return (str(path[1]).removeprefix("berth:"), *path[2:])
    return path


def _scalar(node: Node) -> str | int | float | bool | None:
    text: str = node.value
    if not isinstance(node, ScalarNode) or node.style is not None:
        return text
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def _syntax(error: MarkedYAMLError) -> str:
    # The message never quotes the file: the line may hold a key.
    problem = error.problem or "the text ends too early"
    if problem == _TOO_DEEP:
        return f"is nested deeper than {_DEEPEST} levels, which no setting is; remove some brackets"
    if "'\\t'" in problem:
        return "a tab; YAML is indented with spaces only"
    if "mapping values are not allowed" in problem:
        return "a ':' that cannot stand here; check the indentation, and put text that holds ': ' in quotes"
    if "expected a single document" in (error.context or ""):
        return "a second document ('---'); a stack file has one"
    return f"is not valid YAML: {problem}; check indentation, quotes and brackets above this line"
