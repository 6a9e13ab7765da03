"""StatefulSet and DaemonSet: all pods ready, all of the newest revision."""

from tests.fakes.kubernetes_provider import objects
from tests.fakes.kubernetes_provider.waits import pods
from tests.fakes.kubernetes_provider.waits.base import Wait


class StatefulSetWait(Wait):
    """As many replicas exist and are ready as are asked for, and the current revision is the newest."""

    def done(self) -> bool:
        """With `OnDelete`, an update does not wait for pods that nobody deleted."""
        return self._full() and self._current()

    def problems(self) -> list[str]:
        """Numbers, revisions, pods."""
        found = []
        if not self._full():
            ready, wanted = self._count("readyReplicas"), self._wanted()
            found.append(f"{ready} out of {wanted} replicas succeeded readiness checks")
        if not self._current():
            first, second = (objects.at(self.item, "status", f"{which}Revision") for which in ("current", "update"))
            found.append(f'StatefulSet controller failed to advance from revision "{first}" to revision "{second}"')
        return found + pods.problems(self.api, pods.owned(self.api, self.item))

    def _wanted(self) -> int:
        return int(self.item["spec"].get("replicas", 1))

    def _count(self, field: str) -> int:
        return int(objects.at(self.item, "status", field) or 0)

    def _on_delete(self) -> bool:
        strategy = objects.at(self.item, "spec", "updateStrategy", "type")
        return bool(strategy == "OnDelete" and self.item["metadata"]["generation"] > 1)

    def _full(self) -> bool:
        counts = (
            ("replicas", "readyReplicas") if self._on_delete() else ("replicas", "readyReplicas", "currentReplicas")
        )
        return all(self._count(field) == self._wanted() for field in counts)

    def _current(self) -> bool:
        current = objects.at(self.item, "status", "currentRevision")
        return self._on_delete() or (bool(current) and current == objects.at(self.item, "status", "updateRevision"))


class DaemonSetWait(Wait):
    """As many pods as nodes want one are updated, available and ready."""

    def done(self) -> bool:
        """Of this generation."""
        status = self.item.get("status", {})
        wanted = status.get("desiredNumberScheduled", -1)
        counts = ("currentNumberScheduled", "updatedNumberScheduled", "numberAvailable", "numberReady")
        return status.get("observedGeneration") == self.item["metadata"]["generation"] and all(
            status.get(field, 0) >= wanted for field in counts
        )

    def problems(self) -> list[str]:
        """Numbers, then pods."""
        status = self.item.get("status", {})
        ready, wanted = status.get("numberReady", 0), status.get("desiredNumberScheduled", 0)
        return [f"Ready: {ready}/{wanted}", *pods.problems(self.api, pods.owned(self.api, self.item))]
