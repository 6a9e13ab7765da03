"""A gateway under measurement, whoever made it."""

from dataclasses import dataclass

from tests.bench.gateway.process import Process, Processes

KEY = "bench-key-that-only-this-machine-knows"
MODEL = "chat"


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a gateway is to run, and what is behind it."""

    processes: Processes
    backends: tuple[int, ...]
    """Ports of 127.0.0.1."""
    core: str = ""
    """CPUs as taskset writes them; empty: any."""
    under: tuple[str, ...] = ()
    """A program that is to run it, with arguments; for gateways made of Envoy."""


@dataclass(frozen=True, slots=True)
class Running:
    """A gateway that takes requests."""

    ports: tuple[int, ...]
    """One a replica of it."""
    processes: tuple[Process, ...]

    def cpu_seconds(self) -> float:
        """CPU time of all replicas so far."""
        return sum(process.cpu_seconds() for process in self.processes)

    def rss_bytes(self) -> int:
        """Resident memory of all replicas."""
        return sum(process.rss_bytes() for process in self.processes)

    def check(self) -> None:
        """Raises BenchError when one of them has ended."""
        for process in self.processes:
            process.check()
