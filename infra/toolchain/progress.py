"""What a person who waits gets to see, on standard error."""

import sys
import time
from typing import TextIO

# A log file needs a sign of life, not a film.
QUIET_SECONDS = 20.0


class Progress:
    """Lines that stay (`say`) and one that is written over (`tick`)."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._last = time.monotonic()
        self._width = 0

    def say(self, text: str) -> None:
        """A line that stays."""
        self._clear()
        self._stream.write(f"toolchain: {text}\n")
        self._stream.flush()
        self._last = time.monotonic()

    def tick(self, text: str) -> None:
        """The state of a long step: at once on a terminal, every 20 s elsewhere."""
        if self._live:
            line = f"toolchain: {text}"
            self._stream.write("\r" + line.ljust(self._width))
            self._stream.flush()
            self._width = len(line)
        elif time.monotonic() - self._last >= QUIET_SECONDS:
            self.say(text)

    def _clear(self) -> None:
        if self._live and self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._width = 0


def duration(seconds: float) -> str:
    """Seconds as a person says them: `0.4 s`, `48 s`, `4 min 10 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
