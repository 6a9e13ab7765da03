"""One run of `pulumi` in a test: started, waited for, with the engine's own log of what it did."""

import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Run:
    """One run of `pulumi`, at its end."""

    status: int
    output: str
    events: list[dict[str, Any]]
    """The engine's own event log."""

    def operations(self) -> dict[str, str]:
        """What was, or would be, done, by name of the resource; those that stay the same are left out."""
        found = {}
        for event in self.events:
            metadata = event.get("resourcePreEvent", {}).get("metadata")
            if metadata and metadata["op"] != "same":
                # Of the steps of a replacement the last one tells.
                found[metadata["urn"].rpartition("::")[2]] = metadata["op"]
        return found

    def counts(self) -> Counter[str]:
        """Resources by operation, the ones that stay the same included."""
        summary: dict[str, Any] = next((event["summaryEvent"] for event in self.events if "summaryEvent" in event), {})
        return Counter(summary.get("resourceChanges", {}))


def variables() -> dict[str, str]:
    """The environment of this process without what a developer has set for clusters and backends of their own."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI", "KUBE"))}
    return {
        **inherited,
        "PULUMI_DEBUG_COMMANDS": "true",  # shows the option for the event log
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "1",
    }


def event_log(root: Path) -> tuple[str, str]:
    """Options that make the engine write its log where `finish` reads it; an older one is removed."""
    log = root / "events"
    log.unlink(missing_ok=True)
    return "--event-log", str(log)


def start(root: Path, stack: str, environment: Mapping[str, str], *arguments: str) -> "subprocess.Popen[str]":
    """`pulumi ARGUMENTS --stack STACK` in a process group of its own."""
    return subprocess.Popen(
        ["pulumi", *arguments, "--stack", stack, "--non-interactive"],
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )


def finish(root: Path, started: "subprocess.Popen[str]", seconds: float) -> Run:
    """Waits for its end; one that does not come is a failure that shows how far it came."""
    try:
        output, _ = started.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(started.pid, signal.SIGKILL)
        output, _ = started.communicate()
        raise AssertionError(f"not over after {seconds:.0f} s:\n{output}") from None
    log = root / "events"
    # Whole lines: an engine that was killed may have left the last one unfinished.
    lines = log.read_text().split("\n")[:-1] if log.exists() else []
    events = [json.loads(line) for line in lines]
    return Run(started.returncode, output, events)


def good(run: Run) -> Run:
    """The run, which must have succeeded."""
    assert run.status == 0, run.output
    return run
