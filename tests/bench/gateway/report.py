"""Reports: Markdown for people, JSON for programs, both under build/bench/."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench.gateway import machine

FOLDER = Path("build/bench")


@dataclass(frozen=True, slots=True)
class Target:
    """A figure that the project has promised."""

    what: str
    value: float
    limit: float

    @property
    def met(self) -> bool:
        """The value is at most the limit."""
        return self.value <= self.limit


@dataclass(slots=True)
class Report:
    """One measurement's outcome, in the order in which it is read."""

    name: str
    """Of the files: gateway-<name>.md and .json."""
    title: str
    how: str
    """What was done, in a few sentences: a figure without it is worth nothing."""
    rows: list[dict[str, Any]] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    machine: str = field(default_factory=machine.description)
    tables: list[str] = field(default_factory=list)

    def table(self, caption: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Adds a table; the keys of the first row are its columns."""
        self.rows += [{"table": caption, **row} for row in rows]
        self.tables.append(f"{caption}\n\n{markdown(rows)}")

    def text(self) -> str:
        """The whole report in Markdown."""
        parts = [f"# {self.title}", self.how, f"Machine: {self.machine}.", *self.tables]
        if self.targets:
            marks = [
                {
                    "target": t.what,
                    "measured": f"{t.value:.3f}",
                    "at most": t.limit,
                    "met": "yes" if t.met else "**no**",
                }
                for t in self.targets
            ]
            parts.append(f"Targets\n\n{markdown(marks)}")
        if self.notes:
            parts.append("\n".join(f"- {note}" for note in self.notes))
        return "\n\n".join(parts) + "\n"

    def write(self, folder: Path = FOLDER) -> Path:
        """Writes both files; returns the path of the Markdown one."""
        folder.mkdir(parents=True, exist_ok=True)
        content = {
            "name": self.name,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": self.machine,
            "how": self.how,
            "rows": self.rows,
            "targets": [{"what": t.what, "value": t.value, "limit": t.limit, "met": t.met} for t in self.targets],
            "notes": self.notes,
        }
        (folder / f"gateway-{self.name}.json").write_text(json.dumps(content, indent=1) + "\n")
        path = folder / f"gateway-{self.name}.md"
        path.write_text(self.text())
        return path


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table; floats with three significant digits, or without a fraction from 100 on."""
    columns = list(rows[0])
    lines = [columns, ["---"] * len(columns), *([_shown(row.get(c, "")) for c in columns] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"
    return str(value)
