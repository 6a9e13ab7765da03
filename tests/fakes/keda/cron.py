"""Cron expressions of five fields in numbers: enough for scheduled floors."""

from datetime import datetime, timedelta

_FIRST = (0, 0, 1, 1, 0)
_LAST = (59, 23, 31, 12, 6)
_DAYS = 366


def upcoming(expression: str, after: datetime) -> datetime:
    """The next minute after a moment that an expression names, in the moment's own zone."""
    minute, hour, day, month, weekday = (
        _numbers(text, first, last) for text, first, last in zip(expression.split(), _FIRST, _LAST, strict=True)
    )
    at = after.replace(second=0, microsecond=0)
    for ahead in range(_DAYS):
        date = at + timedelta(days=ahead)
        if date.month not in month or date.day not in day or date.isoweekday() % 7 not in weekday:
            continue
        for moment in (date.replace(hour=each, minute=of) for each in sorted(hour) for of in sorted(minute)):
            if moment > after:
                return moment
    raise ValueError(f"{expression!r} is not within a year")


def _numbers(text: str, first: int, last: int) -> set[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        low, _, high = (f"{first}-{last}" if span == "*" else span).partition("-")
        found |= set(range(int(low), int(high or low) + 1, int(step or 1)))
    return found
