"""How a simulated pod lives, as annotations for its template (kwok.yaml acts on them)."""

from dataclasses import dataclass

NODE_IS_DEAD = "sim/dead"
"""A label on a node: its kubelet is dead."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Times in seconds; None: a tenth of a second, or what a field says."""

    init: float | None = None
    """In the init containers."""
    start: float | None = None
    """Image pull and start of the containers."""
    load: float | None = None
    """From running to ready: the time that a model takes to load."""
    stop: float | None = None
    """From deletion to exit: the drain. The pod's grace period caps it. Default: 0.2."""
    job: float | None = None
    """Run time of a Job's pod. Default: 0.5."""
    crash: float | None = None
    """Containers exit with 1 after that time, never ready; they crash-loop unless `restartPolicy: Never`."""
    pull_error: str = ""
    """The image cannot be pulled; the message of the registry."""
    unready: bool = False
    """Runs, but never becomes ready."""

    def annotations(self) -> dict[str, str]:
        """Of the pod."""
        times = {"init": self.init, "start": self.start, "ready": self.load, "job": self.job, "crash": self.crash}
        found = {f"sim/{name}": f"{round(seconds * 1000)}ms" for name, seconds in times.items() if seconds is not None}
        if self.stop is not None:
            found["sim/stop"] = str(self.stop)
        if self.pull_error:
            found["sim/pull-error"] = self.pull_error
        if self.unready:
            found["sim/unready"] = "true"
        return found
