"""The pods of a model server: engine, weights, devices, places, probes and the way they end."""

from collections.abc import Sequence
from typing import Any

from infra.components.kubernetes import names
from infra.components.kubernetes.image_pull import image_pull
from infra.components.kubernetes.labels import REVISION
from infra.components.kubernetes.rollout import revision
from infra.components.kubernetes.server import Server

CONFIG = "berth.dev/config"
"""Annotation with the checksum of a pod's content."""
GROUP_KEY = "leaderworkerset.sigs.k8s.io/group-key"
"""Label that the LeaderWorkerSet controller puts on the pods of one replica."""
_ZONE, _HOST = "topology.kubernetes.io/zone", "kubernetes.io/hostname"
_HARDENED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
_VERIFY_CPU, _VERIFY_MEMORY = "500m", "512Mi"
_LADDER = (1.0, 1.5)


def pod_spec(server: Server) -> dict[str, Any]:
    """Of the pod that answers requests: all of a replica, or the first of its hosts."""
    return _pod(server, server.engine.container_command(server.replica), serves=True)


def worker_spec(server: Server) -> dict[str, Any]:
    """Of the other hosts of a replica: the same without port and probes."""
    return _pod(server, server.engine.worker_command(server.replica), serves=False)


def template(server: Server, spec: dict[str, Any], *, named: bool = False) -> dict[str, Any]:
    """The pod template; `named` puts the revision among the labels, so that a Service can select it.

    Whatever changes in here rolls the pods, so nothing is in here that need not.
    """
    labels = server.labels | ({REVISION: revision_of(server)} if named else {})
    annotations = {CONFIG: revision_of(server), **server.pod_annotations}
    return {"metadata": {"labels": labels, "annotations": annotations}, "spec": spec}


def revision_of(server: Server) -> str:
    """Checksum of the content of the pods; the same for all templates of a replica."""
    content = [pod_spec(server), dict(server.pod_annotations)]
    if server.replica.hosts > 1:
        content.append(worker_spec(server))
    return revision(content)


def mebibytes(size: int) -> str:
    """A quantity, rounded up."""
    return f"{-(-size // 2**20)}Mi"


def probe_failures(planned: int) -> int:
    """The next of 1, 1.5, 2, 3, 4, 6, 8, 12, …

    The planned number follows from estimates that move a little with node types and prices; pods must not roll for it.
    """
    step = 1
    while True:
        for factor in _LADDER:
            if (rung := int(step * factor)) >= planned:
                return rung
        step *= 2


def _pod(server: Server, command: Sequence[str], *, serves: bool) -> dict[str, Any]:
    container = server.engine.container
    spec: dict[str, Any] = {
        "serviceAccountName": server.name,
        # Neither the API nor the addresses of other Services are a model server's business.
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        **image_pull(server.image_pull_secret),
        "terminationGracePeriodSeconds": server.engine.drain.grace_seconds,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": container.user,
            "runAsGroup": container.user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [_spread(server, _ZONE), _spread(server, _HOST)],
        "initContainers": [_verifier(server)],
        "containers": [_engine(server, command, serves=serves)],
        "volumes": _volumes(server),
    }
    if server.priority_class:
        spec["priorityClassName"] = server.priority_class
    if server.gpu:
        spec["nodeSelector"] = dict(server.gpu.node_labels)
        spec["tolerations"] = [{"key": server.gpu.taint, "operator": "Exists", "effect": "NoSchedule"}]
    if server.replica.hosts > 1:
        spec["affinity"] = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [_together(server)]}}
    return spec


def _engine(server: Server, command: Sequence[str], *, serves: bool) -> dict[str, Any]:
    env = server.engine.container_env(server.replica)
    drain = server.engine.drain
    # The engine must not get the signal before routers have heard that the pod leaves. A replica's other hosts get it
    # when the first one has answered its last request, which it cannot without them.
    sleep = drain.prestop_seconds + (0 if serves else drain.engine_seconds)
    container: dict[str, Any] = {
        "name": "engine",
        "image": server.image,
        **({"command": list(command)} if command else {}),
        "env": [{"name": name, "value": value} for name, value in sorted(env.items())],
        "resources": _resources(server),
        "securityContext": _HARDENED,
        "volumeMounts": [_weights_mount(), *_scratch_mounts(server)],
        "lifecycle": {"preStop": {"sleep": {"seconds": sleep}}},
    }
    if serves:
        container["ports"] = [{"name": names.PORT_NAME, "containerPort": names.SERVER_PORT, "protocol": "TCP"}]
        container |= _probes(server)
    return container


def _verifier(server: Server) -> dict[str, Any]:
    return {
        "name": "verify",
        "image": server.verify_image,
        "command": ["python", "-m", "serving.store", "verify", server.replica.weights],
        "resources": {
            "requests": {"cpu": _VERIFY_CPU, "memory": _VERIFY_MEMORY},
            "limits": {"memory": _VERIFY_MEMORY},
        },
        "securityContext": _HARDENED,
        "volumeMounts": [_weights_mount()],
    }


def _resources(server: Server) -> dict[str, Any]:
    """Memory at most what is requested, so no neighbour can take it; no limit of cores, which would only throttle."""
    memory = mebibytes(server.memory_bytes)
    devices = {server.gpu.resource: str(server.gpu.count)} if server.gpu else {}
    return {
        "requests": {"cpu": f"{server.cpu_millis}m", "memory": memory, **devices},
        "limits": {"memory": memory, **devices},
    }


def _probes(server: Server) -> dict[str, Any]:
    probes = server.engine.probes
    check = {
        "httpGet": {"path": probes.path, "port": names.PORT_NAME},
        "timeoutSeconds": probes.timeout_seconds,
    }
    steady = {**check, "periodSeconds": probes.period_seconds, "failureThreshold": probes.failures}
    starting = {
        **check,
        "periodSeconds": server.probe_period_seconds,
        "failureThreshold": probe_failures(server.probe_failures),
    }
    # A health check may wait behind a long prefill, so a busy server is not out of rotation at the first miss.
    return {"startupProbe": starting, "livenessProbe": steady, "readinessProbe": steady}


def _volumes(server: Server) -> list[dict[str, Any]]:
    volumes: list[dict[str, Any]] = [
        {"name": "weights", "persistentVolumeClaim": {"claimName": server.claim, "readOnly": True}}
    ]
    if server.shm_bytes:
        limit = mebibytes(server.shm_bytes)
        volumes.append({"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": limit}})
    scratch = {"sizeLimit": mebibytes(server.disk_bytes)} if server.disk_bytes else {}
    volumes += [{"name": _volume_name(path), "emptyDir": scratch} for path in server.engine.container.writable]
    return volumes


def _weights_mount() -> dict[str, Any]:
    return {"name": "weights", "mountPath": names.WEIGHTS, "readOnly": True}


def _scratch_mounts(server: Server) -> list[dict[str, Any]]:
    shm = [{"name": "shm", "mountPath": "/dev/shm"}] if server.shm_bytes else []  # noqa: S108 - the pod's own
    return shm + [{"name": _volume_name(path), "mountPath": path} for path in server.engine.container.writable]


def _volume_name(path: str) -> str:
    return path.strip("/").replace("/", "-")


def _spread(server: Server, topology: str) -> dict[str, Any]:
    """A wish: a model rather stands on one zone's GPUs than waits for another's."""
    constraint: dict[str, Any] = {
        "maxSkew": 1,
        "topologyKey": topology,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": server.selector},
    }
    if server.replica.hosts == 1:
        # Counted within one revision: the pods that are about to go do not push the new ones into a corner.
        constraint["matchLabelKeys"] = ["pod-template-hash"]
    return constraint


def _together(server: Server) -> dict[str, Any]:
    """Hosts of one replica exchange tensors at every token, which no link between zones is fast enough for."""
    return {
        "topologyKey": _ZONE,
        "labelSelector": {"matchLabels": server.selector},
        "matchLabelKeys": [GROUP_KEY],
    }
