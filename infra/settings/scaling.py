"""How the replicas of a model follow its load, and the clock."""

import re
import zoneinfo
from typing import Annotated, Any

from pydantic import Field

from infra.settings.kinds import Kind, duration, fail, real, whole
from infra.settings.messages import did_you_mean, shown
from infra.settings.replicas import MOST
from infra.settings.section import Section

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
# Least and most of each field, and the words that stand for its numbers, as KEDA's parser takes them.
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 6, _DAYS),
)
_PART = re.compile(r"(?P<all>\*)|(?P<low>[0-9a-z]+)(-(?P<high>[0-9a-z]+))?", re.IGNORECASE)
_ZONE = r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*"


def _cron(value: Any) -> str:
    if not isinstance(value, str) or len(fields := value.split()) != len(_FIELDS):
        fail(
            f"{shown(value)} is not a cron expression; write minute, hour, day of the month, month and day of the week "
            'in quotes, such as "0 8 * * 1-5"'
        )
    for text, (noun, least, most, words) in zip(fields, _FIELDS, strict=True):
        for part in text.split(","):
            if not _is_part(part, least, most, words):
                named = f" or {words[0]} to {words[-1]}" if words else ""
                fail(
                    f"{shown(value)} has {shown(part)} as {noun}; write *, numbers from {least} to {most}{named}, "
                    "ranges such as 1-5, or steps such as */2"
                )
    return " ".join(fields)


def _is_part(text: str, least: int, most: int, words: tuple[str, ...]) -> bool:
    span, slash, step = text.partition("/")
    found = _PART.fullmatch(span)
    if not found or (slash and not (step.isdecimal() and int(step) > 0)):
        return False
    if found["all"]:
        return True
    low = _number(found["low"], least, words)
    high = low if found["high"] is None else _number(found["high"], least, words)
    return low is not None and high is not None and least <= low <= high <= most


def _number(text: str, least: int, words: tuple[str, ...]) -> int | None:
    if text.isdecimal():
        return int(text)
    return words.index(text.lower()) + least if text.lower() in words else None


def _zone(value: Any) -> str:
    rule = "is not a time zone; write a name of the IANA database, such as Europe/Berlin or UTC"
    if not isinstance(value, str) or not re.fullmatch(_ZONE, value):
        fail(f"{shown(value)} {rule}")
    # A machine without the database cannot tell.
    if (known := zoneinfo.available_timezones()) and value not in known:
        fail(f"{shown(value)} {rule}{did_you_mean(value, sorted(known))}")
    return value


Cron = Annotated[str, Kind(_cron, {"type": "string", "pattern": r"^\s*\S+(\s+\S+){4}\s*$"})]
"""A time that comes again: minute, hour, day of the month, month, day of the week."""
Zone = Annotated[str, Kind(_zone, {"type": "string", "pattern": f"^{_ZONE}$"})]
"""A time zone's name."""


class Floor(Section):
    """Replicas that run at given hours whatever the load: for peaks that are known before they come."""

    start: Cron = Field(examples=['"0 8 * * 1-5"'])
    """Begin of the hours, as a cron expression: minute, hour, day of the month, month, day of the week. Early enough
    that the replicas have started when they are needed."""
    end: Cron = Field(examples=['"0 20 * * 1-5"'])
    """End of the hours, as a cron expression."""
    timezone: Zone = "UTC"
    """Time zone of both, such as Europe/Berlin, summer time included. Default: UTC."""
    replicas: Annotated[int, whole(1, MOST, 2)] = Field(examples=[2])
    """Least replicas meanwhile, more than replicas.min."""


class Scaling(Section):
    """How replicas follow the load between replicas.min and replicas.max. All of it has defaults from the plan."""

    in_flight: Annotated[float, real(0, 4096, 12, above=True, note=" requests")] | None = None
    """Requests a replica to aim at, in flight or waiting at the gateway. Lower: more replicas, shorter waits.
    Default: what keeps the objectives by the plan, at most four fifths of concurrency."""
    queue: Annotated[float, real(0, 4096, 4, above=True, note=" requests")] | None = None
    """Requests a replica to aim at in the engine's queue, the second signal. Default: a quarter of concurrency."""
    cooldown: Annotated[float, duration("5m")] | None = None
    """Time without a request after which the last replica stops; with replicas.min 0 only.
    Default: twice the planned start, 15m at least."""
    stabilization: Annotated[float, duration("15s")] | None = None
    """How long the load must have been lower before replicas go. Default: the planned start, 5m at least, 1h at most.
    Shorter saves money where the load comes in waves, and costs a start a wave."""
    floors: tuple[Floor, ...] = Field(
        default=(), examples=['[{start: "0 8 * * 1-5", end: "0 20 * * 1-5", timezone: Europe/Berlin, replicas: 2}]']
    )
    """Replicas by the clock. Default: none."""
