"""What happened to the objects of a kind, in the API server's own order: for claims like `never fewer than three`."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

from tests.support.kubernetes_api import ApiError, Client, Object, UnreachableError

RETRY_SECONDS = 0.2
WATCH_SECONDS = 2.0
CATCH_UP_SECONDS = 60.0
POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Moment:
    """One change."""

    at: float
    """`time.monotonic()` when it was seen."""
    change: str
    """ADDED, MODIFIED or DELETED."""
    item: Object


@dataclass
class Timeline:
    """Records from `__enter__` to `__exit__`, through restarts of the API server too."""

    api: Client
    api_version: str
    kind: str
    namespace: str | None = None
    moments: list[Moment] = field(default_factory=list)

    def __enter__(self) -> "Timeline":
        items, self._since = self.api.page(self.api_version, self.kind, self.namespace)
        self.moments.extend(Moment(time.monotonic(), "ADDED", item) for item in items)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._record, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._catch_up()
        finally:
            self._stop.set()
            self._thread.join()

    def counts(self, counted: Callable[[Object], bool]) -> list[int]:
        """How many objects satisfied `counted` after each change, beginning with the first."""
        now: dict[str, Object] = {}
        counts: list[int] = []
        for moment in self.moments:
            uid = moment.item["metadata"]["uid"]
            if moment.change == "DELETED":
                now.pop(uid, None)
            else:
                now[uid] = moment.item
            counts.append(sum(counted(item) for item in now.values()))
        return counts

    def _catch_up(self) -> None:
        """Waits until all is recorded that had happened before: a test goes on from what it has seen by other means."""
        known = {moment.item["metadata"]["uid"] for moment in list(self.moments)}
        there = {
            item["metadata"]["uid"]: int(item["metadata"]["resourceVersion"])
            for item in self.api.items(self.api_version, self.kind, self.namespace)
        }
        end = time.monotonic() + CATCH_UP_SECONDS
        while not self._has(there, known - there.keys()):
            assert time.monotonic() < end, f"not all changes of {self.kind} were told within {CATCH_UP_SECONDS:.0f} s"
            time.sleep(POLL_SECONDS)

    def _has(self, there: dict[str, int], gone: set[str]) -> bool:
        seen: dict[str, int] = {}
        for moment in list(self.moments):
            metadata = moment.item["metadata"]
            seen[metadata["uid"]] = int(metadata["resourceVersion"])
            if moment.change == "DELETED":
                gone = gone - {metadata["uid"]}
        return not gone and all(seen.get(uid, 0) >= version for uid, version in there.items())

    def _record(self) -> None:
        while not self._stop.is_set():
            try:
                for change, item in self.api.watch(
                    self.api_version, self.kind, self._since, self.namespace, WATCH_SECONDS
                ):
                    self._since = item["metadata"]["resourceVersion"]
                    self.moments.append(Moment(time.monotonic(), change, item))
                    if self._stop.is_set():
                        return
            except (UnreachableError, ApiError):
                # Down, or starting. A version that is too old does not come up in a test's time.
                time.sleep(RETRY_SECONDS)


def ready(pod: Object) -> bool:
    """Whether a pod is ready and stays: one that is being deleted does not count."""
    if "deletionTimestamp" in pod["metadata"]:
        return False
    conditions = pod.get("status", {}).get("conditions", ())
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
