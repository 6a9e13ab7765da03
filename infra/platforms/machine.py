"""What this machine lacks for a plan: asked before the first resource, answered all at once."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from infra.providers.local import ports
from infra.providers.local.daemon import ALIVE, Daemon
from infra.providers.local.process import instances

LEAST_DISK_BYTES = 500_000_000
"""For logs (20 MB a process at most), Prometheus' samples and the gateway's files."""


def obstacles(daemon: Daemon, wanted_ports: Mapping[str, int], memory_bytes: Mapping[str, int]) -> Iterator[str]:
    """Messages that name what is wrong and the way out; none when the plan can run.

    `wanted_ports`: fixed ports by the setting that asks for them. `memory_bytes`: planned memory by service name.
    """
    alive = {program.name for program in daemon.list() if program.state in ALIVE}
    running = [process for process in instances(daemon) if process.name in alive]
    own_ports = {port for process in running for port in process.ports.values()}
    for setting, port in wanted_ports.items():
        if port not in own_ports and not ports.is_free(port):
            yield f"{setting}: port {port} is in use by {ports.holder(port)}; stop that or set another port"

    started = {process.spec.name for process in running}
    missing = sum(size for name, size in memory_bytes.items() if name not in started)
    available = available_memory_bytes()
    if missing > available:
        yield (
            f"the processes still to start need {missing / 1e6:.0f} MB of memory, {available / 1e6:.0f} MB are "
            f"available; lower `replicas`, remove a model, or stop other programs"
        )

    folder = next(path for path in (daemon.root, *daemon.root.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    if free < LEAST_DISK_BYTES:
        yield (
            f"{folder} has {free / 1e6:.0f} MB of disk left, {LEAST_DISK_BYTES / 1e6:.0f} MB are needed; "
            "free some space or move the checkout"
        )


def available_memory_bytes() -> int:
    """Memory that new processes can have without swapping (Linux: MemAvailable)."""
    fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    return int(fields["MemAvailable"].split()[0]) * 1024
