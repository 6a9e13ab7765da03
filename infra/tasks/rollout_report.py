"""Why servers did not come up: pod, reason and last events of every rollout that failed.

The provider's own message names conditions and container states only; it knows nothing of events.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from infra.cluster import Client, ClusterError, Object, label_query
from infra.components.kubernetes.labels import owned
from infra.platforms.kubernetes_checks import client_of
from infra.settings import Settings
from infra.tasks.engine import say

EVENTS, PODS = 3, 3
"""Shown of each pod, and of each rollout."""
_WORKLOADS = (
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet"),
    ("batch/v1", "Job"),
)
_REVISION = "deployment.kubernetes.io/revision"


@dataclass(frozen=True, slots=True)
class Failed:
    """One workload that is not what it should be."""

    kind: str
    name: str
    state: str
    """How far it is, and what still serves."""
    pods: tuple[str, ...]
    """Lines on its pods, or on why there are none."""

    def __str__(self) -> str:
        return "\n".join((f"{self.kind} {self.name}: {self.state}", *(f"  {line}" for line in self.pods)))


def report(settings: Settings) -> None:
    """Tells what the cluster knows of rollouts of the stack that have not finished. Adds nothing where it is silent."""
    try:
        with client_of(settings) as client:
            found = failures(client, settings.kubernetes.namespace, settings.stack)
    except ClusterError as error:
        say(f"the pods could not be looked at: {error}")
        return
    for failed in found:
        say(str(failed))


def failures(client: Client, namespace: str, stack: str) -> list[Failed]:
    """Unfinished workloads of a stack, by kind and name."""
    labels = label_query(owned(stack))
    found = []
    for version, kind in _WORKLOADS:
        for item in client.items(version, kind, namespace, labels=labels):
            state = _state(kind, item)
            if state:
                lines = list(_pods(client, kind, item))
                old = _old_serving(client, item) if kind == "Deployment" else 0
                still = f"; {old} old pod{'s' * (old > 1)} still serve{'s' * (old == 1)}" if old else ""
                found.append(Failed(kind, item["metadata"]["name"], state + still, tuple(lines)))
    return found


def _state(kind: str, item: Object) -> str:
    """What is unfinished; empty where nothing is."""
    spec, status = item["spec"], item.get("status") or {}
    conditions = {found["type"]: found for found in status.get("conditions") or []}
    if kind == "Job":
        failed = conditions.get("Failed")
        if failed and failed["status"] == "True":
            return f"failed: {failed.get('reason')}: {failed.get('message')}"
        if status.get("succeeded", 0) >= (spec.get("completions") or 1):
            return ""
        return f"not done: {status.get('failed', 0)} pods failed, {status.get('active', 0)} at work"
    wanted = spec.get("replicas", 1)
    if kind == "Deployment":
        if status.get("observedGeneration") != item["metadata"].get("generation"):
            return "its controller has not looked at it yet"
        if status.get("updatedReplicas", 0) == wanted == status.get("availableReplicas", 0):
            return ""
        ready = status.get("updatedReplicas", 0) - max(0, status.get("unavailableReplicas", 0))
        progress = conditions.get("Progressing") or {}
        late = "; its deadline has passed" if progress.get("reason") == "ProgressDeadlineExceeded" else ""
        refused = conditions.get("ReplicaFailure") or {}
        why = f"; pods are refused: {refused['message']}" if refused.get("status") == "True" else ""
        return f"{max(0, ready)} of {wanted} new pods are ready{late}{why}"
    if status.get("readyReplicas", 0) >= wanted and status.get("updatedReplicas", wanted) >= wanted:
        return ""
    return f"{status.get('readyReplicas', 0)} of {wanted} replicas are ready"


def _pods(client: Client, kind: str, item: Object) -> Iterator[str]:
    namespace = item["metadata"]["namespace"]
    pods = [pod for pod in _of(client, item) if not _well(pod)]
    if kind == "Deployment":
        newest = _newest(client, item)
        if newest is not None:
            mark = newest["metadata"]["labels"].get("pod-template-hash")
            pods = [pod for pod in pods if pod["metadata"]["labels"].get("pod-template-hash") == mark]
            if not pods:
                yield from _events(client, namespace, newest["metadata"]["name"])
    for pod in pods[:PODS]:
        name = pod["metadata"]["name"]
        node = pod["spec"].get("nodeName")
        yield f"pod {name}{f' on {node}' if node else ''}: {_reason(pod)}"
        for line in _events(client, namespace, name):
            yield f"  {line}"
    if len(pods) > PODS:
        yield f"and {len(pods) - PODS} more pods"


def _of(client: Client, item: Object) -> list[Object]:
    selector = item["spec"].get("selector") or {}
    pairs = selector.get("matchLabels") or {}
    if item["kind"] == "LeaderWorkerSet":
        pairs = {"leaderworkerset.sigs.k8s.io/name": item["metadata"]["name"]}
    labels = label_query(pairs)
    if not labels:
        return []
    pods = client.items("v1", "Pod", item["metadata"]["namespace"], labels=labels)
    return sorted(pods, key=lambda pod: str(pod["metadata"]["name"]))


def _replica_sets(client: Client, item: Object) -> list[Object]:
    """Of a Deployment, the newest first."""
    found = [
        owned
        for owned in client.items("apps/v1", "ReplicaSet", item["metadata"]["namespace"])
        if any(owner["uid"] == item["metadata"]["uid"] for owner in owned["metadata"].get("ownerReferences") or [])
    ]
    return sorted(found, key=lambda one: -int((one["metadata"].get("annotations") or {}).get(_REVISION, 0)))


def _newest(client: Client, item: Object) -> Object | None:
    return next(iter(_replica_sets(client, item)), None)


def _old_serving(client: Client, item: Object) -> int:
    return sum(int((old.get("status") or {}).get("readyReplicas", 0)) for old in _replica_sets(client, item)[1:])


def _well(pod: Object) -> bool:
    status = pod.get("status") or {}
    if status.get("phase") == "Succeeded":
        return True
    return any(found["type"] == "Ready" and found["status"] == "True" for found in status.get("conditions") or [])


def _reason(pod: Object) -> str:
    """The most telling of what a pod's status says."""
    status = pod.get("status") or {}
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        text = _of_container(container)
        if text:
            return text
    conditions: Sequence[Mapping[str, str]] = status.get("conditions") or []
    for wanted in ("PodScheduled", "Initialized", "Ready"):
        for found in conditions:
            if found["type"] == wanted and found["status"] != "True" and found.get("message"):
                return f"{found.get('reason')}: {found['message']}"
    return f"{status.get('reason') or status.get('phase') or 'unknown'}: {status.get('message') or 'no more is known'}"


def _of_container(container: Object) -> str:
    name, state = container["name"], container.get("state") or {}
    ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated")
    waiting = state.get("waiting")
    if waiting and waiting.get("reason") not in ("ContainerCreating", "PodInitializing"):
        last = f"; it ended with {ended.get('exitCode')} ({ended.get('reason')})" if ended else ""
        message = f": {waiting['message']}" if waiting.get("message") else ""
        return f"container {name}: {waiting.get('reason')}{message}{last}"
    if ended and ended.get("exitCode"):
        return f"container {name} ended with {ended['exitCode']} ({ended.get('reason')})"
    return ""


def _events(client: Client, namespace: str, name: str) -> Iterator[str]:
    for event in client.events(namespace, name)[-EVENTS:]:
        count = (event.get("series") or {}).get("count") or event.get("count") or 1
        often = f" (x{count})" if count > 1 else ""
        yield f"{event.get('type')} {event.get('reason')}: {str(event.get('message') or '').strip()}{often}"
