"""A dictionary that nobody can change."""

from typing import Any, NoReturn, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class FrozenDict(dict[Key, Value]):
    """A dict without the methods that change it: settings are shared by every later step, none of which may edit them.

    It stays a dict, so that json, pickle and pydantic treat it as one.
    """

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("settings are frozen; change the stack file and load it again")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)
