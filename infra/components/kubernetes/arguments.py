"""What every component says of arguments that it cannot be made from."""

from collections.abc import Iterable


class ArgumentsError(ValueError):
    """Arguments that make no component; `str()` lists every reason, one a line. Raised before anything is registered.

    Programs in other languages are told the same text, without the kit's own lines of code.
    """


def refuse(what: str, problems: Iterable[str]) -> None:
    """Raises ArgumentsError unless there are none. `what` names the component: its kind and name."""
    if found := [*problems]:
        raise ArgumentsError("\n".join(f"{what}: {problem}" for problem in found))
