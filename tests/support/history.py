"""What clients saw: one record a call, and what must be true of all of them whatever failed on the way."""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Outcome(StrEnum):
    """How a call ended, as its client can tell."""

    OPEN = "open"
    """It has not."""
    WHOLE = "whole"
    """Accepted, every token once and in order, and the end that says so."""
    REFUSED = "refused"
    """An error status with a body that says why."""
    CUT = "cut"
    """Accepted, and then an error event, a broken connection or silence in place of the end."""
    LOST = "lost"
    """No answer: the connection was refused or broke before a status."""
    WRONG = "wrong"
    """A token twice, out of order or of another call, an end too early, or an error without a word: never allowed."""


FINAL = frozenset(Outcome) - {Outcome.OPEN, Outcome.WRONG}


@dataclass(slots=True)
class Call:
    """One request and what became of it. Times by the monotonic clock, s."""

    id: str
    stream: bool
    url: str
    sent: float
    status: int = 0
    chunks: int = 0
    """Tokens received, each checked to be the next one."""
    total: int = -1
    """Tokens sent, by the engine's last word before the end."""
    done: bool = False
    """The final `[DONE]` came."""
    first: float = 0.0
    last: float = 0.0
    """When the last token came."""
    ended: float = 0.0
    outcome: Outcome = Outcome.OPEN
    detail: str = ""


@dataclass(slots=True)
class Journal:
    """What engines did, by call: names of events in the order in which each engine wrote them."""

    engines: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """Engine to call to events."""

    @classmethod
    def read(cls, files: Iterable[Path]) -> "Journal":
        """From one file an engine. A last line that a killed engine left unfinished is no event."""
        journal = cls()
        for file in files:
            calls = journal.engines.setdefault(file.stem, {})
            lines = file.read_text().split("\n")[:-1] if file.exists() else []
            for line in map(json.loads, lines):
                calls.setdefault(line["id"], []).append(line["event"])
        return journal

    def count(self, event: str) -> Counter[str]:
        """How often it happened, by call."""
        counter: Counter[str] = Counter()
        for calls in self.engines.values():
            for call, events in calls.items():
                counter[call] += events.count(event)
        return counter

    def begun_at(self, engine: str) -> set[str]:
        """Calls that got their first token from it."""
        return {call for call, events in self.engines.get(engine, {}).items() if "begun" in events}

    def asked_at(self, engine: str) -> set[str]:
        """Calls that reached it."""
        return set(self.engines.get(engine, {}))


@dataclass(slots=True)
class History:
    """All calls of a run."""

    calls: list[Call] = field(default_factory=list)

    def where(self, true: Callable[[Call], bool]) -> "History":
        """Those calls of which it is true."""
        return History([call for call in self.calls if true(call)])

    def of(self, *outcomes: Outcome) -> list[Call]:
        """Calls with one of these outcomes."""
        return [call for call in self.calls if call.outcome in outcomes]

    def failures(self) -> list[Call]:
        """Calls that are not whole."""
        return [call for call in self.calls if call.outcome is not Outcome.WHOLE]

    def counts(self) -> Counter[str]:
        """Calls by outcome."""
        return Counter(str(call.outcome) for call in self.calls)

    def __str__(self) -> str:
        parts = []
        for kind, stream in (("streams", True), ("short calls", False)):
            counts = self.where(lambda call, stream=stream: call.stream is stream).counts()  # type: ignore[misc]
            if counts:
                parts.append(f"{kind}: " + ", ".join(f"{n} {outcome}" for outcome, n in sorted(counts.items())))
        return "; ".join(parts)

    def check(self, journal: Journal | None = None) -> None:
        """Raises AssertionError with the calls that break a rule.

        Every call has ended in a way that its client can tell; accepted = whole + visibly failed; nobody got a wrong
        token; no call was answered by two engines, and a whole one was ended by exactly one.
        """
        ids = Counter(call.id for call in self.calls)
        assert max(ids.values(), default=1) == 1, f"calls with the same id: {ids.most_common(3)}"
        strange = [call for call in self.calls if call.outcome not in FINAL]
        assert not strange, f"{len(strange)} calls without a proper end: {strange[:5]}"
        silent = [call for call in self.failures() if not call.detail]
        assert not silent, f"{len(silent)} calls failed without a word: {silent[:5]}"
        accepted = [call for call in self.calls if call.status == 200]
        whole, cut = self.of(Outcome.WHOLE), self.of(Outcome.CUT)
        assert len(accepted) == len(whole) + len(cut)
        assert all(call.done for call in whole)
        assert not any(call.done for call in cut)
        if journal is not None:
            self._check_against(journal, {call.id for call in whole})

    def _check_against(self, journal: Journal, whole: set[str]) -> None:
        begun, ended = journal.count("begun"), journal.count("ended")
        twice = {call: n for call, n in begun.items() if n > 1}
        assert not twice, f"generated more than once: {twice}"
        odd = {call: ended[call] for call in whole if ended[call] != 1}
        assert not odd, f"whole at the client, ended so many times at engines: {odd}"
