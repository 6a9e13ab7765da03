"""A stack's settings on a page: every value and where it was written."""

from collections.abc import Iterator, Mapping
from typing import Any

from infra.settings.fields import kind_at
from infra.settings.messages import Path, dotted
from infra.settings.origins import nearest
from infra.settings.section import Section
from infra.settings.settings import Settings, platforms_for

BUILT_IN = "built in"
"""Origin of a value that no file gives."""


def rows(settings: Settings) -> list[tuple[str, str, str]]:
    """Path, value and origin of every value that is set and that the stack's platform acts on. Secrets are hidden."""
    return [(dotted(path), text, _origin(settings, path)) for path, text in _values(settings, (), settings)]


def page(settings: Settings) -> str:
    """The rows in three columns."""
    lines = rows(settings)
    wide = max(len(path) for path, _, _ in lines)
    middle = max(len(value) for _, value, _ in lines)
    return "".join(f"{path:<{wide}}  {value:<{middle}}  {origin}\n" for path, value, origin in lines)


def _values(value: Any, path: Path, settings: Settings) -> Iterator[tuple[Path, str]]:
    if value is None or settings.platform not in platforms_for(path):
        return
    kind = kind_at(Settings, path)
    if kind is not None:
        yield path, kind.write(value)
    elif isinstance(value, Section):
        for name in type(value).model_fields:
            yield from _values(getattr(value, name), (*path, name), settings)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _values(item, (*path, name), settings)
    elif isinstance(value, tuple) and value and isinstance(value[0], Section):
        for number, item in enumerate(value):
            yield from _values(item, (*path, number), settings)
    else:
        yield path, f"[{', '.join(str(item) for item in value)}]"


def _origin(settings: Settings, path: Path) -> str:
    found, origin = nearest(settings.origins, path)
    # A key above that has keys of its own below it says nothing about this one; one that has none is a shorthand.
    deeper = (other for other in settings.origins if len(other) > len(found) and other[: len(found)] == found)
    return BUILT_IN if origin is None or (found != path and any(deeper)) else str(origin)
