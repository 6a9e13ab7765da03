"""The gateway's pods, and what keeps enough of them. Pure: parts of manifests as plain dicts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infra.components.kubernetes.gateway_config import ADMIN_PORT, LINGER_SECONDS, NOTICE_SECONDS, Front
from infra.components.kubernetes.image_pull import image_pull
from infra.components.kubernetes.names import GATEWAY_METRICS_PORT, GATEWAY_PORT, GATEWAY_TLS_PORT, PEERS_PORT
from serving import gateway
from serving.gateway.metrics import LIVE_PATH, STARTED_PATH

Manifest = dict[str, Any]

ENVOY = Path("/usr/local/bin/envoy")
PICKER = Path("/usr/local/lib/berth/libpicker.so")
DRAIN = "/usr/local/bin/berth-drain"
"""Where images/gateway has them."""
USER = 65532
"""`nonroot` of the image, and its group."""
READABLE = 0o440
"""By root and the pod's group alone."""
BUSY_PERCENT = 70
"""Of the requested processor, on average over the pods; above it the scaler adds one."""


def deployment(front: Front, image: Any) -> Manifest:
    """Spec of the Deployment; `image` may be an output."""
    return {
        # Left out once a scaler decides it.
        **({"replicas": front.least} if front.least == front.most else {}),
        "revisionHistoryLimit": 3,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "selector": {"matchLabels": front.selector},
        "template": {"metadata": {"labels": front.labels}, "spec": _pod(front, image)},
    }


def autoscaler(front: Front) -> Manifest:
    """Spec of the HorizontalPodAutoscaler. Down slowly, one pod at a time: each has streams to finish."""
    return {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": front.name},
        "minReplicas": front.least,
        "maxReplicas": front.most,
        "metrics": [
            {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": BUSY_PERCENT}},
            }
        ],
        "behavior": {
            "scaleDown": {
                "stabilizationWindowSeconds": 600,
                "policies": [{"type": "Pods", "value": 1, "periodSeconds": 300}],
            }
        },
    }


def budget(front: Front) -> Manifest:
    """Spec of the PodDisruptionBudget: one at a time, and a broken pod holds up nobody."""
    return {
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": front.selector},
    }


def _pod(front: Front, image: Any) -> Manifest:
    return {
        "serviceAccountName": front.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        **({"priorityClassName": front.priority_class} if front.priority_class else {}),
        **image_pull(front.image_pull_secret),
        # preStop waits for the streams; what is left of this is for Envoy, which stops at once.
        "terminationGracePeriodSeconds": drain_seconds(front) + 30,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        # Its names are complete; otherwise each look-up would first try four others.
        "dnsConfig": {"options": [{"name": "ndots", "value": "1"}]},
        "topologySpreadConstraints": [_spread(front, key) for key in (ZONE, NODE)],
        "containers": [_container(front, image)],
        "volumes": list(_volumes(front)),
    }


ZONE = "topology.kubernetes.io/zone"
NODE = "kubernetes.io/hostname"


def _spread(front: Front, key: str) -> Manifest:
    return {
        "maxSkew": 1,
        "topologyKey": key,
        # A gateway beside another one is better than none.
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": front.selector},
        "matchLabelKeys": ["pod-template-hash"],
    }


def drain_seconds(front: Front) -> int:
    """Longest that a pod may go on after it has been told to stop: notice, then the longest stream."""
    return NOTICE_SECONDS + front.stream_seconds + LINGER_SECONDS


def _container(front: Front, image: Any) -> Manifest:
    mounts = front.mounts
    ports = [("http", GATEWAY_PORT, "TCP"), ("metrics", GATEWAY_METRICS_PORT, "TCP")]
    ports += [("https", GATEWAY_TLS_PORT, "TCP")] if front.certificate else []
    ports += [("peers", PEERS_PORT, "UDP")] if front.peers else []
    folders = [mounts.start, mounts.clusters, mounts.routes, *([mounts.certificate] if front.certificate else [])]
    cpu = front.cpu_millis or 500 * front.spec.workers
    memory = str(front.memory_bytes)
    return {
        "name": "gateway",
        "image": image,
        "command": list(gateway.command(front.spec, ENVOY, mounts.start)),
        "env": [{"name": name, "value": value} for name, value in sorted(gateway.environment(PICKER).items())],
        "ports": [{"name": name, "containerPort": port, "protocol": protocol} for name, port, protocol in ports],
        # No limit of the processor: throttling would stop all streams of a pod at once.
        "resources": {"requests": {"cpu": f"{cpu}m", "memory": memory}, "limits": {"memory": memory}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "startupProbe": {**_get(STARTED_PATH, "http"), "periodSeconds": 2, "failureThreshold": 60, "timeoutSeconds": 3},
        # Not READY_PATH, which fails in a drain: a terminating pod gets no new connections anyway, and where it is the
        # only one of its node, those that come through that node meanwhile are served rather than dropped.
        "readinessProbe": {**_get(LIVE_PATH), "periodSeconds": 5, "failureThreshold": 2, "timeoutSeconds": 3},
        # Generous: a restart cuts every stream.
        "livenessProbe": {**_get(LIVE_PATH), "periodSeconds": 10, "failureThreshold": 6, "timeoutSeconds": 5},
        "lifecycle": {"preStop": {"exec": {"command": drain_command(front)}}},
        "volumeMounts": [{"name": folder.name, "mountPath": str(folder), "readOnly": True} for folder in folders],
    }


def _get(path: str, port: str = "metrics") -> Manifest:
    return {"httpGet": {"path": path, "port": port, "scheme": "HTTP"}}


def drain_command(front: Front) -> list[str]:
    """What empties the gateway before its process gets the signal; images/gateway has the program."""
    options = {
        "--admin-port": ADMIN_PORT,
        "--notice": NOTICE_SECONDS,
        "--patience": front.stream_seconds,
        "--linger": LINGER_SECONDS,
    }
    return [DRAIN, *(str(word) for option in options.items() for word in option)]


def _volumes(front: Front) -> Iterator[Manifest]:
    yield {"name": "start", "configMap": {"name": front.start_name(), "defaultMode": READABLE}}
    yield {"name": "clusters", "configMap": {"name": front.clusters_name, "defaultMode": READABLE}}
    yield {"name": "routes", "secret": {"secretName": front.routes_name, "defaultMode": READABLE}}
    if front.certificate:
        yield {"name": "certificate", "secret": {"secretName": front.certificate, "defaultMode": READABLE}}
