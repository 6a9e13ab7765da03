"""An event loop whose timers are exact to some 50 µs; asyncio's own, on epoll, are up to a millisecond late (Linux)."""

import asyncio
import ctypes
import os
import selectors
import time


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Timer(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


_libc = ctypes.CDLL(None, use_errno=True)


class _ExactSelector(selectors.EpollSelector):
    """Waits on a timer of the kernel (timerfd) in place of epoll's timeout, which is in whole milliseconds."""

    def __init__(self) -> None:
        super().__init__()
        self._timer = _libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._timer < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        # Behind the back of the base class, which passes over descriptors that it does not know.
        self._selector.register(self._timer, selectors.EVENT_READ)  # type: ignore[attr-defined] # not in typeshed

    def select(self, timeout: float | None = None) -> "list[tuple[selectors.SelectorKey, int]]":
        """As the base class."""
        if timeout is not None and timeout <= 0:
            return super().select(0)
        seconds, rest = divmod(timeout or 0.0, 1)
        # All zero stops the timer; setting it also clears an expiry that was not read.
        value = _Timespec(int(seconds), max(int(rest * 1e9), timeout is not None))
        _libc.timerfd_settime(self._timer, 0, ctypes.byref(_Timer(_Timespec(0, 0), value)), None)
        return super().select(None)

    def close(self) -> None:
        """As the base class."""
        super().close()
        os.close(self._timer)


def runner() -> asyncio.Runner:
    """Runs coroutines on such a loop."""
    return asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(_ExactSelector()))
