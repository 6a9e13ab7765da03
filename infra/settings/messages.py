"""How settings speak of what is wrong: place, value, rule and way out."""

import difflib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

Path = tuple[str | int, ...]
"""Where a value stands: `("models", "chat", "gpu")`."""

_LONGEST_SHOWN = 72
# Forms in which keys and passwords come; a value like this in the wrong place is named but never printed.
_SECRET_FORMS = re.compile(
    r"\b(sk|pk|rk|hf|ghp|gho|ghs|glpat|xox[abp]|AKIA|ASIA|eyJ)[-_]?[A-Za-z0-9]{6,}|://[^/\s]*:[^/\s]*@|^v1:|PRIVATE KEY"
)
_LONG_TOKEN = re.compile(r"[A-Za-z0-9_-]{20,}")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in one place of one file."""

    file: str
    """Relative to the repository, such as `stacks/Pulumi.prod.yaml`."""
    line: int
    """Counted from 1; 0 speaks of the whole file."""
    path: Path
    """Such as `("models", "chat", "gpu")`; empty for the whole file."""
    text: str
    """Value, rule and way out."""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {dotted(self.path)}: {self.text}" if self.path else f"{place}: {self.text}"

    @property
    def place(self) -> tuple[str, int, str, str]:
        """By which problems are sorted: file, line, then alphabetically."""
        return self.file, self.line, dotted(self.path), self.text


class SettingsError(ValueError):
    """A stack's settings are not valid. Carries every problem, by file and line; its text has one a line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(sorted(set(problems), key=lambda problem: problem.place))
        self.errors: list[str] = [str(problem) for problem in self.problems]
        super().__init__("\n".join(self.errors))


def dotted(path: Path) -> str:
    """A path as Pulumi's `--path` takes it: `models.chat.gpu`, `gateway.fallback.chat[0]`, `a["b.c"]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif text and (not part or re.search(r'[.\[\]"\s]', part)):
            text += f"[{json.dumps(part, ensure_ascii=False)}]"
        else:
            text += f".{part}" if text else part
    return _printable(text)


def shown(value: object, *, public: bool = False) -> str:
    """A value for an error message, short and in the spelling of YAML; what looks like a key or a password is hidden.

    Args:
        value: A scalar, list or mapping as read from the file.
        public: The field is one that holds long identifiers (a commit, a version), so length alone hides nothing.
    """
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case str():
            if _SECRET_FORMS.search(value) or (not public and _is_token(value)):
                return "(a value that looks like a secret, not shown)"
            text = value if len(value) <= _LONGEST_SHOWN else value[: _LONGEST_SHOWN - 1] + "…"
            return f"'{_printable(text)}'"
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case _:
            return "an encrypted value"


def one_of(word: object, options: Iterable[str]) -> str:
    """`use one of a, b, c (did you mean 'b'?)`: the way out for a word that is not among the options."""
    known = list(options)
    return f"use one of {', '.join(known)}{did_you_mean(word, known)}" if known else "there is none to choose from"


def did_you_mean(word: object, options: Iterable[str]) -> str:
    """` (did you mean 'b'?)` where an option is close to the word, else nothing."""
    meant = closest(word, options)
    return f" (did you mean '{meant}'?)" if meant else ""


def closest(word: object, options: Iterable[str]) -> str | None:
    """The option most like a word, or None where none is near."""
    if not isinstance(word, str):
        return None
    folded = {option.lower().replace("-", "_"): option for option in options}
    text = word.lower().replace("-", "_").strip()
    matches = difflib.get_close_matches(text, folded, n=1, cutoff=0.6)
    return folded[matches[0]] if matches else None


def _printable(text: str) -> str:
    """Text without line ends and terminal codes, which a file could smuggle into a log."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def _is_token(text: str) -> bool:
    return any(
        any(letter.isdigit() for letter in run) and any(letter.isalpha() for letter in run)
        for run in _LONG_TOKEN.findall(text)
    )
