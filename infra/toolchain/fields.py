"""Reading one mapping of the lock file strictly: every key is asked for, a key nobody asks for is a mistake."""

import difflib
from collections.abc import Mapping
from typing import Any

from infra.toolchain.errors import ToolchainError

# Known in every mapping, for the reader of the file only.
_COMMENTARY = "note"


class Fields:
    """A mapping at a named place, such as `parts.pulumi.ways[1]`."""

    def __init__(self, place: str, value: object) -> None:
        if not isinstance(value, Mapping):
            raise ToolchainError(f"{place}: expected a mapping, got {value!r}")
        self.place = place
        self._values: dict[str, Any] = dict(value)
        self._known = {_COMMENTARY}

    def text(self, key: str, default: str | None = None) -> str:
        """A text; required when there is no default."""
        value = self._take(key, default)
        if not isinstance(value, str):
            raise ToolchainError(f"{self.place}.{key}: expected a text, got {value!r}; quote it")
        return value

    def number(self, key: str, default: int) -> int:
        """A whole number."""
        value = self._take(key, default)
        if not isinstance(value, int):
            raise ToolchainError(f"{self.place}.{key}: expected a number, got {value!r}")
        return value

    def texts(self, key: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """A list of texts."""
        value = self._take(key, default)
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            raise ToolchainError(f"{self.place}.{key}: expected a list of texts, got {value!r}")
        return tuple(value)

    def table(self, key: str, default: Mapping[str, str] | None = None) -> dict[str, str]:
        """A mapping from texts to texts."""
        value = self._take(key, default)
        if not isinstance(value, Mapping) or not all(isinstance(item, str) for pair in value.items() for item in pair):
            raise ToolchainError(f"{self.place}.{key}: expected a mapping of texts, got {value!r}")
        return dict(value)

    def mapping(self, key: str) -> dict[str, Any]:
        """A mapping that someone else reads on."""
        value = self._take(key, None)
        if not isinstance(value, Mapping):
            raise ToolchainError(f"{self.place}.{key}: expected a mapping, got {value!r}")
        return dict(value)

    def items(self, key: str) -> list[Any]:
        """A list that someone else reads on."""
        value = self._take(key, None)
        if not isinstance(value, list) or not value:
            raise ToolchainError(f"{self.place}.{key}: expected a list with something in it, got {value!r}")
        return value

    def close(self) -> None:
        """Refuses keys that nobody asked for."""
        for key in self._values.keys() - self._known:
            close = difflib.get_close_matches(str(key), self._known, 1)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(sorted(self._known))}"
            raise ToolchainError(f"{self.place}.{key}: no such key; {hint}")

    def _take(self, key: str, default: object) -> Any:
        self._known.add(key)
        if key not in self._values and default is None:
            raise ToolchainError(f"{self.place}.{key}: is missing")
        return self._values.get(key, default)
