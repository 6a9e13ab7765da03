"""Rules for the values of options: each check returns the rule that a value breaks, or None."""

import json
import re
from collections.abc import Callable


def one_of(*values: str) -> Callable[[str], str | None]:
    """A check that the value is one of `values`."""
    return lambda value: None if value in values else f"it must be one of {', '.join(values)}"


def number(least: float, most: float, *, whole: bool = True) -> Callable[[str], str | None]:
    """A check that the value is a number between `least` and `most`, both included."""

    def check(value: str) -> str | None:
        rule = f"it must be a {'whole ' if whole else ''}number from {least:g} to {most:g}"
        try:
            parsed = int(value) if whole else float(value)
        except ValueError:
            return rule
        return None if least <= parsed <= most else rule

    return check


def json_object(value: str) -> str | None:
    """A check that the value is a JSON object."""
    try:
        return None if isinstance(json.loads(value), dict) else "it must be a JSON object"
    except ValueError as error:
        return f"it must be a JSON object ({error})"


def adapters(value: str) -> list[tuple[str, str]]:
    """LoRA adapters by name and folder, from "name=/folder,…"."""
    return [(name, path) for name, _, path in (item.partition("=") for item in value.split(","))]


def adapters_check(value: str) -> str | None:
    """A check that the value is what `adapters` reads: nothing is downloaded at start, so each must be a folder."""
    if all(re.fullmatch(r"[A-Za-z0-9][\w.-]*=/[^\s,=]+", item) for item in value.split(",")):
        return None
    return "it must be name=/models/folder, several separated by commas: adapters are read from the store, not a hub"
