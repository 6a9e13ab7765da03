"""`python -m tests.drills.drain_proof`: rolls servers and gateway of a local stack under load; nothing may be cut.

It prints streams started, finished and cut, and short calls made and lost, phase by phase; 1 when there was any loss.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.settings import load
from infra.tasks.prepare import prepare
from infra.tasks.session import ROOT
from tests.support.knocks import Knock, Knocks
from tests.support.portblock import lease
from tests.support.project import Project
from tests.support.streams import Load, Stream

CHAT = {
    "engine": "local",
    "source": "store://tiny-gpt2",
    "max_output_tokens": 256,
    "replicas": 2,
    "concurrency": 32,
    "options": {"token-delay-ms": "10"},
}


@dataclass(frozen=True, slots=True)
class Phase:
    """One thing that is done to the stack, and the stack file that does it."""

    name: str
    context: int = 512
    workers: int = 2


START = Phase("start")
PHASES = (
    Phase("nothing changes"),
    Phase("servers roll", context=384),
    Phase("gateway rolls, 2 -> 1 workers", context=384, workers=1),
    Phase("gateway rolls, 1 -> 3 workers", context=384, workers=3),
    Phase("both roll", workers=2),
)
SHORT = (Phase("both roll", context=384, workers=1),)


@dataclass(slots=True)
class Row:
    """What was seen in one phase. Calls count where they started, ends where they ended."""

    name: str
    seconds: float
    streams: list[Stream]
    knocks: list[Knock]

    @property
    def lost(self) -> int:
        """Streams that did not end whole, and short calls without an answer."""
        return len(self._cut()) + len(self._unanswered())

    def _cut(self) -> list[Stream]:
        return [stream for stream in self.streams if stream.outcome not in ("whole", "open")]

    def _unanswered(self) -> list[Knock]:
        return [knock for knock in self.knocks if knock.failure]

    def line(self) -> str:
        """For the table."""
        finished = len([stream for stream in self.streams if stream.outcome == "whole"])
        figures = (len(self.streams), finished, len(self._cut()), len(self.knocks), len(self._unanswered()))
        return f"{self.name:32}{self.seconds:9.1f}" + "".join(f"{figure:10}" for figure in figures)

    def losses(self) -> list[str]:
        """One line each."""
        knocks = [f"{'kept' if k.kept else 'new'} connection: {k.failure}" for k in self._unanswered()]
        return [f"stream: {s.outcome}: {s.detail}" for s in self._cut()] + knocks


HEAD = f"{'phase':32}{'seconds':>9}{'streams':>10}{'finished':>10}{'cut':>10}{'calls':>10}{'lost':>10}"


def prove(root: Path, phases: tuple[Phase, ...], clients: int, say: Callable[[str], None]) -> list[Row]:
    """Brings a stack up below `root`, goes through the phases under load, and takes it down."""
    prepare(load("local", ROOT))
    project = Project.make(root, lease())
    _write(project, START)
    try:
        project.up()
        return asyncio.run(_under_load(project, phases, clients, say))
    finally:
        project.down()


async def _under_load(
    project: Project, phases: tuple[Phase, ...], clients: int, say: Callable[[str], None]
) -> list[Row]:
    outputs = project.outputs()
    url, key = outputs["endpoints"]["chat"]["native"], outputs["api_key"]
    marks: list[float] = []
    async with Load(url, key, clients) as streams, Knocks(f"http://127.0.0.1:{project.gateway_port}", key) as knocks:
        await streams.finished(clients)  # every client has begun
        for phase in phases:
            marks.append(time.monotonic())
            say(f"... {phase.name}")
            _write(project, phase)
            await asyncio.to_thread(project.up)
            await streams.finished(2 * clients)
    starts = [0.0, *marks[1:]]
    ends = [*marks[1:], time.monotonic() + 1]
    return [
        Row(
            phase.name,
            end - max(start, marks[0]),
            [stream for stream in streams.history.streams if start <= stream.started < end],
            [knock for knock in knocks.knocks if start <= knock.sent < end],
        )
        for phase, start, end in zip(phases, starts, ends, strict=True)
    ]


def _write(project: Project, phase: Phase) -> None:
    chat: dict[str, Any] = {**CHAT, "context": phase.context}
    project.write({"chat": chat}, gateway={"workers": phase.workers})


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills.drain_proof", description=__doc__)
    parser.add_argument("--clients", type=int, default=20, help="streams at a time")
    clients = parser.parse_args().clients
    with tempfile.TemporaryDirectory(prefix="berth-drain-") as folder:
        rows = prove(Path(folder), PHASES, clients, lambda text: print(text, file=sys.stderr))  # noqa: T201
    print("\n".join([HEAD, *(row.line() for row in rows)]))  # noqa: T201
    losses = [f"{row.name}: {loss}" for row in rows for loss in row.losses()]
    print("\n".join(losses) or "nothing was cut or lost")  # noqa: T201
    return 1 if losses else 0


if __name__ == "__main__":
    sys.exit(main())
