"""What the kernel says of a process (Linux): CPU time, memory; and how busy the machine is otherwise."""

import os
import re
from pathlib import Path

_PROC = Path("/proc")


def tree(pid: int) -> list[int]:
    """The process and all its descendants."""
    parents: dict[int, list[int]] = {}
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended since
            parents.setdefault(int(fields[1]), []).append(int(folder.name))
    found = [pid]
    for process in found:
        found += parents.get(process, [])
    return found


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and its descendants so far.

    From the scheduler's nanoseconds (`schedstat`) rather than from `stat`, whose ticks of 10 ms are 1 % of a run of a
    second. Threads that have ended are not in it.
    """
    total = 0
    for process in tree(pid):
        for task in (_PROC / str(process) / "task").iterdir():
            try:
                total += int((task / "schedstat").read_text().split()[0])
            except (FileNotFoundError, ProcessLookupError):
                continue
    return total / 1e9


def rss_bytes(pid: int) -> int:
    """Resident memory of a process and its descendants."""
    total = 0
    for process in tree(pid):
        try:
            status = (_PROC / str(process) / "status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if found := re.search(r"VmRSS:\s+(\d+) kB", status):
            total += int(found.group(1)) * 1024
    return total


def load() -> float:
    """Runnable processes, mean of the last minute."""
    return os.getloadavg()[0]


def description() -> str:
    """CPU model, CPUs that may be used, kernel, load: what a reader needs to place absolute figures."""
    model = re.search(r"model name\s*:\s*(.+)", (_PROC / "cpuinfo").read_text())
    cores = len(os.sched_getaffinity(0))
    return f"{model.group(1) if model else 'unknown CPU'}, {cores} CPUs, Linux {os.uname().release}, load {load():.1f}"
