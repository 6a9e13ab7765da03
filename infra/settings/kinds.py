"""The kinds of value a setting can have. Each checks, explains itself, and describes itself to editors."""

import math
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, NoReturn

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from infra.settings import units
from infra.settings.messages import one_of, shown

# What people add to a bare number: separators of thousands, an exponent, and the unit that the key names already.
_DECORATED = re.compile(
    r"(?P<number>[0-9][0-9_,]*(\.[0-9]+)?(e[0-9]{1,2})?)\s*(?P<unit>%|/min|/s|tokens?)?", re.IGNORECASE
)
_UNITS_OF_KEYS = {int: ("", "%", "/min", "token", "tokens"), float: ("", "%", "/s")}
_LABEL = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")
_FLAGS = {"yes": True, "on": True, "y": True, "true": True, "no": False, "off": False, "n": False, "false": False}


# Compared by identity: annotations must be hashable, and a schema is not.
@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """Metadata of a field's type: how a value is checked, described and written."""

    check: Callable[[Any], Any]
    """From the file's value to the setting's; refuses with `fail`."""
    schema: dict[str, Any]
    """JSON Schema of the file's value."""
    write: Callable[[Any], str] = str
    """From the setting's value to its spelling in a stack file."""

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, _core: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return dict(self.schema)


def fail(text: str) -> NoReturn:
    """Refuses a value with a whole sentence: value, rule and way out."""
    raise PydanticCustomError("setting", "{text}", {"text": text})


def whole(minimum: int, maximum: int, example: int) -> Kind:
    """A whole number from minimum to maximum; an error shows the example as a right value."""

    def check(value: Any) -> int:
        if type(value) is float and value.is_integer() and abs(value) < 1e15:
            fail(f"{shown(value)} is not written as a whole number; write {int(value)}")
        if type(value) is not int:
            fail(_not_a_number(value, "a whole number", _number_in(value, int), f"{example}"))
        _within(value, minimum, maximum)
        return value

    return Kind(check, {"type": "integer", "minimum": minimum, "maximum": maximum})


def real(minimum: float, maximum: float, example: float, *, above: bool = False, note: str = "") -> Kind:
    """A number from minimum (not itself if `above`) to maximum.

    An error shows the example as a right value, and one about the bounds ends with the note.
    """

    def check(value: Any) -> float:
        if type(value) is str and re.fullmatch(r"[0-9]+\.[0-9]+", value):
            value = float(value)  # as `pulumi config set --path` writes 99.5
        if type(value) not in (int, float) or not math.isfinite(value):
            fail(_not_a_number(value, "a number", _number_in(value, float), f"{example:g}"))
        if above and value == minimum:
            fail(f"{shown(value)} is too small; must be more than {minimum:g}{note}")
        _within(value, minimum, maximum, note)
        return float(value)

    bound = "exclusiveMinimum" if above else "minimum"
    schema = {
        "anyOf": [
            {"type": "number", bound: minimum, "maximum": maximum},
            {"type": "string", "pattern": r"^[0-9]+\.[0-9]+$"},
        ]
    }
    return Kind(check, schema, "{:g}".format)


def choice(options: type[StrEnum] | tuple[str, ...], noun: str) -> Kind:
    """One of a few words; the noun, with its article, says what such a word names: `a GPU type`."""
    words = {str(option): option for option in options}

    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            fail(f"{shown(value)} is not {noun}; {one_of(value, words)}")
        return words[value]

    return Kind(check, {"enum": list(words)})


def text(pattern: str, rule: str) -> Kind:
    """Text of which the whole matches a pattern; the rule follows the value: `is not a host name; write …`."""
    form = re.compile(pattern)

    def check(value: Any) -> str:
        if isinstance(value, bool | int | float):
            fail(f'{shown(value)} is not text; put it in quotes: "{shown(value)}"')
        if not isinstance(value, str) or not form.fullmatch(value):
            fail(f"{shown(value)} {rule}")
        return value

    return Kind(check, {"type": "string", "pattern": f"^({pattern})$"})


def _with_unit(parse: Callable[[str], Any], write: Callable[[Any], str], pattern: str, minimum: str) -> Kind:
    least = parse(minimum)

    def check(value: Any) -> Any:
        # A bare number is text without a unit: the error shows the right spelling of that very number.
        spelled = shown(value) if type(value) in (int, float) else value
        try:
            parsed = parse(spelled if isinstance(spelled, str) else "")
        except units.UnitError as error:
            fail(f"{shown(value)} {error}")
        if parsed < least:
            fail(f"{shown(value)} is too small; at least {minimum}")
        return parsed

    return Kind(check, {"type": "string", "pattern": pattern}, write)


def duration(minimum: str = "1ms") -> Kind:
    """A duration with its unit; held in seconds."""
    return _with_unit(units.parse_duration, units.format_duration, units.DURATION_PATTERN, minimum)


def size(minimum: str = "1B") -> Kind:
    """A size with its unit; held in bytes."""
    return _with_unit(units.parse_size, units.format_size, units.SIZE_PATTERN, minimum)


def _name(value: Any) -> str:
    if isinstance(value, str) and _LABEL.fullmatch(value):
        return value
    ascii_only = unicodedata.normalize("NFKD", str(value).casefold()).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "-", ascii_only).strip("-")[:40].strip("-")
    way_out = f"; use '{slug}'" if _LABEL.fullmatch(slug) else ""
    fail(f"{shown(value)} is not a name: 1 to 40 of a-z, 0-9 and '-', a letter first, no '-' last{way_out}")


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    meant = _FLAGS.get(str(value).lower())
    fail(f"{shown(value)} is not true or false; write {'true or false' if meant is None else str(meant).lower()}")


def write_flag(value: bool) -> str:
    """A boolean as YAML spells it."""
    return "true" if value else "false"


Name = Annotated[str, Kind(_name, {"type": "string", "pattern": f"^{_LABEL.pattern}$"})]
"""Name of a model, a tenant or a provider: a DNS label, since it becomes host names, object names and metric labels."""
Flag = Annotated[bool, Kind(_flag, {"type": "boolean"}, write_flag)]
"""true or false."""
Seconds = Annotated[float, duration()]
"""A duration in seconds."""
Bytes = Annotated[int, size()]
"""A size in bytes."""
Port = Annotated[int, whole(1024, 65535, 8080)]
"""A TCP port that needs no privilege."""
Tokens = Annotated[int, whole(1, 10_000_000, 8192)]
"""A number of tokens."""
SUBDOMAIN = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"
"""Pattern of most names in a cluster."""
SecretName = Annotated[str, text(SUBDOMAIN, "is not a Secret's name")]
Host = Annotated[
    str,
    text(
        r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?",
        "is not a host name; write one such as api.example.com, in small letters, without https:// or a port",
    ),
]
"""A full DNS name."""


def _number_in(value: Any, of: type[int] | type[float]) -> str | None:
    """The number that a text was meant to be, as it should be written, or None."""
    found = _DECORATED.fullmatch(value.strip()) if isinstance(value, str) else None
    if not found or (found["unit"] or "").lower() not in _UNITS_OF_KEYS[of]:
        return None
    number = float(found["number"].replace(",", "").replace("_", ""))
    if of is int:
        return str(int(number)) if number.is_integer() else None
    return f"{number:g}"


def _not_a_number(value: Any, noun: str, meant: str | None, example: str) -> str:
    if meant is None:
        return f"{shown(value)} is not {noun}; write one such as {example}"
    if meant == value:
        return f"{shown(value)} is text, not {noun}; write {meant} without quotes"
    return f"{shown(value)} is not {noun}; write {meant}"


def _within(value: float, minimum: float, maximum: float, note: str = "") -> None:
    if value < minimum:
        fail(f"{shown(value)} is too small; at least {minimum:g}{note}")
    if value > maximum:
        fail(f"{shown(value)} is too large; at most {maximum:g}{note}")
