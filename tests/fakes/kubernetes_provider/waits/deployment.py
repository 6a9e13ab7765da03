"""Deployment: its newest ReplicaSet has as many ready pods as it should have."""

from tests.fakes.kubernetes_provider import objects
from tests.fakes.kubernetes_provider.waits import pods
from tests.fakes.kubernetes_provider.waits.base import Wait
from tests.support.kubernetes_api import Object

_REVISION = "deployment.kubernetes.io/revision"


class DeploymentWait(Wait):
    """The controller saw this generation, `Available`; from the second rollout on also `NewReplicaSetAvailable`."""

    def done(self) -> bool:
        """Checks the cheap conditions first."""
        if objects.at(self.item, "status", "observedGeneration") != self.item["metadata"]["generation"]:
            return False
        if not pods.is_true(self.item, "Available") or not self._rolled():
            return False
        replicas = self._replica_set()
        return replicas is not None and _is_full(replicas) and not self._unbound()

    def problems(self) -> list[str]:
        """In the words of the real provider, then pod by pod."""
        found = [
            f"[{condition['reason']}] {condition['message']}"
            for kind in ("Progressing", "Available")
            if (condition := pods.condition(self.item, kind)) and condition["status"] != "True"
        ]
        if unbound := self._unbound():
            found.append(f'Failed to bind PersistentVolumeClaim(s): "{",".join(unbound)}"')
        replicas = self._replica_set()
        if not pods.is_true(self.item, "Available"):
            found.append("Minimum number of live Pods was not attained")
        elif not self._rolled():
            found.append("Minimum number of Pods to consider the application live was not attained")
        elif replicas is None or not _is_full(replicas):
            found.append("Attempted to roll forward to new ReplicaSet, but minimum number of Pods did not become live")
        return found + (pods.problems(self.api, pods.owned(self.api, replicas)) if replicas else [])

    def _rolled(self) -> bool:
        revision = objects.annotation(self.item, _REVISION)
        if revision == "1":
            return True
        progressing = pods.condition(self.item, "Progressing")
        return progressing.get("status") == "True" and progressing.get("reason") == "NewReplicaSetAvailable"

    def _replica_set(self) -> Object | None:
        """The one of the current revision."""
        revision = objects.annotation(self.item, _REVISION)
        found = self.api.items("apps/v1", "ReplicaSet", self.namespace)
        ours = [item for item in found if pods.is_owned(item, self.item)]
        return next((item for item in ours if objects.annotation(item, _REVISION) == revision), None)

    def _unbound(self) -> list[str]:
        """Claims of its volumes that have no volume."""
        volumes = objects.at(self.item, "spec", "template", "spec", "volumes") or ()
        names = [
            volume["persistentVolumeClaim"]["claimName"] for volume in volumes if "persistentVolumeClaim" in volume
        ]
        if not names:
            return []
        claims = self.api.items("v1", "PersistentVolumeClaim", self.namespace)
        bound = {objects.name(claim) for claim in claims if objects.at(claim, "status", "phase") == "Bound"}
        return [name for name in names if name not in bound]


def _is_full(replicas: Object) -> bool:
    return int(objects.at(replicas, "status", "readyReplicas") or 0) >= int(replicas["spec"].get("replicas", 1))
