"""Durations and sizes with units: text to number and back."""

import re
from collections.abc import Collection, Mapping
from decimal import Decimal

SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}
"""Seconds in one of each unit of time."""

BYTES = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
"""Bytes in one of each unit of size: MB is 10^6 as on a disk's label, MiB is 2^20 as in memory."""

DURATION_PATTERN = r"^(0|[1-9][0-9]*)(\.[0-9]+)?(ms|s|m|h|d)$"
"""A duration as the JSON Schema sees it."""
SIZE_PATTERN = r"^(0|[1-9][0-9]*)(\.[0-9]+)?(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)$"
"""A size as the JSON Schema sees it."""

_NUMBER = re.compile(r"(?P<number>(?:0|[1-9][0-9]*)(?:\.[0-9]+)?)\s*(?P<unit>[A-Za-zµ]*)")
_LONGEST_SECONDS = 10 * 365 * SECONDS["d"]
_LARGEST_BYTES = 2**60

# What people write out of habit, and what is meant.
_OTHER_TIMES = {
    "msec": "ms",
    "sec": "s",
    "secs": "s",
    "second": "s",
    "seconds": "s",
    "min": "m",
    "mins": "m",
    "minute": "m",
    "minutes": "m",
    "hr": "h",
    "hour": "h",
    "hours": "h",
    "day": "d",
    "days": "d",
}
_OTHER_SIZES = {"b": "B", "k": "kB", "kb": "kB", "ki": "KiB", "kib": "KiB"} | {
    spelling: unit
    for letter in "MGT"
    for spelling, unit in (
        (letter.lower(), f"{letter}B"),
        (f"{letter}b".lower(), f"{letter}B"),
        (f"{letter}i".lower(), f"{letter}iB"),
        (f"{letter}ib".lower(), f"{letter}iB"),
    )
}


class UnitError(ValueError):
    """Text that is not a duration or a size; the message is the rule and the way out, without the value."""


def parse_duration(text: str) -> float:
    """Seconds in a duration such as `80ms`, `1s`, `1.5m` or `15d`.

    Raises:
        UnitError: no number, no unit, an unknown unit, more than one unit, or more than ten years.
    """
    number, unit = _split(text, SECONDS, _OTHER_TIMES, "duration", "80ms, 1s, 5m, 2h or 15d")
    seconds = number * SECONDS[unit]
    if seconds > _LONGEST_SECONDS:
        raise UnitError("is longer than ten years (3650d)")
    return float(seconds)


def format_duration(seconds: float) -> str:
    """The shortest exact spelling of a number of seconds, with the largest unit that keeps it a whole number."""
    exact = Decimal(repr(seconds))
    if exact == 0:
        return "0s"
    for unit in ("d", "h", "m", "s"):
        if exact % SECONDS[unit] == 0:
            return f"{_plain(exact / SECONDS[unit])}{unit}"
    return f"{_plain(exact / SECONDS['ms'])}ms"


def parse_size(text: str) -> int:
    """Bytes in a size such as `500MB` or `4GiB`.

    Raises:
        UnitError: no number, no unit, an unknown unit, not a whole number of bytes, or more than 2^60 bytes.
    """
    number, unit = _split(text, BYTES, _OTHER_SIZES, "size", "10MB, 500MiB or 4GiB")
    size = number * BYTES[unit]
    if size != size.to_integral_value():
        raise UnitError("is not a whole number of bytes")
    if size > _LARGEST_BYTES:
        raise UnitError("is more than 2^60 bytes (1048576TiB)")
    return int(size)


def format_size(size: int) -> str:
    """The shortest exact spelling of a number of bytes, with the largest unit that keeps it a whole number."""
    if size == 0:
        return "0B"
    exact = [(size // scale, -scale, unit) for unit, scale in BYTES.items() if size % scale == 0]
    count, _, unit = min(exact)
    return f"{count}{unit}"


def _split(
    text: str, units: Collection[str], others: Mapping[str, str], noun: str, examples: str
) -> tuple[Decimal, str]:
    found = _NUMBER.fullmatch(text.strip())
    if not found:
        raise UnitError(f"is not a {noun}; write a number and a unit, such as {examples}")
    number, unit = found["number"], found["unit"]
    if not unit:
        raise UnitError(f"has no unit; write {_spellings(number, units)}")
    if unit not in units:
        meant = others.get(unit.lower()) or next((known for known in units if known.lower() == unit.lower()), None)
        way_out = f"write {number}{meant}" if meant else f"write {_spellings(number, units)}"
        raise UnitError(f"has an unknown unit; {way_out}")
    if text != number + unit:
        raise UnitError(f"has a space in it; write {number}{unit}")
    return Decimal(number), unit


def _spellings(number: str, units: Collection[str]) -> str:
    *first, last = (f"{number}{unit}" for unit in units)
    return f"{', '.join(first)} or {last}"


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"
