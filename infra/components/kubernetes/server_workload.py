"""What keeps the pods of a model server running, and how long that may take."""

from dataclasses import dataclass
from typing import Any

from infra.components.kubernetes.labels import REVISION
from infra.components.kubernetes.rollout import Rollout, start_limit, update_limit
from infra.components.kubernetes.server import Server
from infra.components.kubernetes.server_pods import (
    pod_spec,
    probe_failures,
    revision_of,
    template,
    worker_spec,
)

WORKER_INDEX = "leaderworkerset.sigs.k8s.io/worker-index"
_HISTORY = 2


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds after which an operation has failed."""

    start: int
    """One new pod, from its creation until it is ready."""
    create: int
    update: int
    delete: int


def limits(server: Server) -> Limits:
    """From the planned start and the engine's drain."""
    startup = server.probe_period_seconds * probe_failures(server.probe_failures)
    start = start_limit(server.cold_seconds, startup)
    grace = server.engine.drain.grace_seconds
    return Limits(
        start=start,
        create=start,
        update=update_limit(server.rollout, server.most, start, grace),
        delete=start_limit(0, grace),
    )


def workload_name(server: Server) -> str:
    """The server's own, or one for each content where old and new stand side by side."""
    return f"{server.name}-{revision_of(server)}" if server.rollout is Rollout.BLUE_GREEN else server.name


def workload_selector(server: Server) -> dict[str, str]:
    """Labels of the pods that the Service sends requests to, and of no others."""
    if server.rollout is not Rollout.BLUE_GREEN:
        return server.selector
    return {**server.selector, REVISION: revision_of(server)}


def workload(server: Server) -> dict[str, Any]:
    """A Deployment, or a LeaderWorkerSet where a replica has several hosts."""
    return deployment(server) if server.replica.hosts == 1 else leader_worker_set(server)


def deployment(server: Server) -> dict[str, Any]:
    """One pod a replica."""
    # Whoever scaled it before must not keep its number when the stack file fixes one.
    annotations = {} if server.scaling else {"pulumi.com/patchForce": "true"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": server.metadata(workload_name(server), **({"annotations": annotations} if annotations else {})),
        "spec": {
            "replicas": server.initial,
            "revisionHistoryLimit": _HISTORY,
            "progressDeadlineSeconds": limits(server).start + server.engine.drain.grace_seconds,
            "selector": {"matchLabels": workload_selector(server)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": _steps(server)},
            "template": template(server, pod_spec(server), named=server.rollout is Rollout.BLUE_GREEN),
        },
    }


def leader_worker_set(server: Server) -> dict[str, Any]:
    """Several pods a replica, which start and end together. Its first pod answers requests."""
    named = server.rollout is Rollout.BLUE_GREEN
    # The engine waits for no custom resource unless told.
    annotations = {"pulumi.com/waitFor": "condition=Available"}
    if not server.scaling:
        annotations["pulumi.com/patchForce"] = "true"
    return {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": server.metadata(workload_name(server), annotations=annotations),
        "spec": {
            "replicas": server.initial,
            "startupPolicy": "LeaderCreated",
            "rolloutStrategy": {"type": "RollingUpdate", "rollingUpdateConfiguration": _steps(server)},
            "leaderWorkerTemplate": {
                "size": server.replica.hosts,
                # A group that lost a member holds no whole copy of the weights.
                "restartPolicy": "RecreateGroupOnPodRestart",
                "leaderTemplate": template(server, pod_spec(server), named=named),
                "workerTemplate": template(server, worker_spec(server), named=named),
            },
        },
    }


def _steps(server: Server) -> dict[str, int]:
    return {"maxSurge": server.rollout.surge, "maxUnavailable": server.rollout.unavailable}
