"""Waiting for an object to become what its kind calls ready."""

import threading
import time
from typing import ClassVar

from tests.fakes.kubernetes_provider import objects
from tests.support.kubernetes_api import ApiError, Client, Object, UnreachableError

POLL_SECONDS = 0.25


class NotReadyError(Exception):
    """The object is there, but not ready: it is kept in the state with these reasons."""

    def __init__(self, message: str, item: Object, reasons: list[str]) -> None:
        super().__init__(message)
        self.item = item
        self.reasons = reasons


class Wait:
    """One kind's idea of ready. `item` is the object as last seen, `before` as it was before an update."""

    seconds: ClassVar[float] = 600
    """How long unless told otherwise."""
    fixed: ClassVar[bool] = False
    """Nobody can tell it otherwise."""

    def __init__(self, api: Client, item: Object, before: Object | None = None) -> None:
        self.api = api
        self.item = item
        self.before = before

    @property
    def name(self) -> str:
        """The object's."""
        return objects.name(self.item)

    @property
    def namespace(self) -> str:
        """The object's; empty when it lives in none."""
        return objects.namespace(self.item)

    def refresh(self) -> None:
        """Looks at the object again."""
        self.item = self.api.get(self.item["apiVersion"], self.item["kind"], self.name, self.namespace or None)

    def done(self) -> bool:
        """Whether it is ready."""
        raise NotImplementedError

    def hopeless(self) -> bool:
        """Whether it never will be."""
        return False

    def problems(self) -> list[str]:
        """Why it is not."""
        return []


def wait(what: Wait, seconds: float | None, stopping: threading.Event) -> Object:
    """The ready object. Raises NotReadyError when its time is over, when it failed, or when `stopping` is set.

    An API server that is away for a while is waited for like the object itself.
    """
    end = time.monotonic() + (seconds if seconds and not what.fixed else what.seconds)
    while True:
        if _ready(what):
            return what.item
        if what.hopeless():
            raise NotReadyError(f"Resource '{what.name}' was created but failed to initialize", what.item, _why(what))
        if time.monotonic() > end:
            raise NotReadyError(f"'{what.name}' timed out waiting to be Ready", what.item, _why(what))
        if stopping.wait(POLL_SECONDS):
            raise NotReadyError(f'Resource operation was cancelled for "{what.name}"', what.item, _why(what))


def check(what: Wait) -> None:
    """The same for this very moment. Raises NotReadyError, or what the API server said."""
    if not what.done():
        raise NotReadyError(f"Resource '{what.name}' was created but failed to initialize", what.item, _why(what))


def _ready(what: Wait) -> bool:
    try:
        what.refresh()
        return what.done()
    except (UnreachableError, ApiError):
        return False


def _why(what: Wait) -> list[str]:
    try:
        return what.problems()
    except (UnreachableError, ApiError) as error:
        return [f"the API server could not be asked why: {error}"]
