"""The JSONPath of `pulumi.com/waitFor`: `{.status.phase}`, `{.status.conditions[?(@.type=="Ready")].status}`."""

import re
from typing import Any

_STEP = re.compile(
    r"""\.(?P<name>[\w-]+|\*)
      | \[(?P<index>-?\d+|\*)\]
      | \[['"](?P<quoted>[^'"\]]+)['"]\]
      | \[\?\(@(?P<left>[.\w-]+)\s*(?P<operator>==|!=)\s*['"](?P<right>[^'"]*)['"]\)\]""",
    re.VERBOSE,
)


class JsonPathError(ValueError):
    """An expression that is not understood; the message shows where."""


def find(expression: str, item: Any) -> list[Any]:
    """All values that an expression leads to. Raises JsonPathError."""
    text = expression.removeprefix("{").removesuffix("}").removeprefix("$")
    values = [item]
    position = 0
    while position < len(text):
        step = _STEP.match(text, position)
        if step is None:
            raise JsonPathError(f"JSONPath {expression}: not understood from `{text[position:]}` on")
        values = [found for value in values for found in _take(step, value)]
        position = step.end()
    return values


def _take(step: "re.Match[str]", value: Any) -> list[Any]:
    name = step["name"] or step["quoted"]
    if name == "*" or step["index"] == "*":
        return [*value.values()] if isinstance(value, dict) else [*value] if isinstance(value, list) else []
    if name is not None:
        return [value[name]] if isinstance(value, dict) and name in value else []
    if not isinstance(value, list):
        return []
    if step["index"] is not None:
        index = int(step["index"])
        return [value[index]] if -len(value) <= index < len(value) else []
    equal = step["operator"] == "=="
    return [entry for entry in value if (find(step["left"], entry) == [step["right"]]) == equal]
