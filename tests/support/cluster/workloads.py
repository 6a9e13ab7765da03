"""Small objects for tests of the cluster itself."""

from typing import Any

from tests.support.cluster.behaviour import Behaviour
from tests.support.cluster.nodes import GPU_RESOURCE
from tests.support.kubernetes_api import Object

AT_ONCE = Behaviour()
"""A tenth of a second for each step."""

SHARED_FILES: Object = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "files"},
    "provisioner": "nfs.csi.k8s.io",
}
"""A class whose volumes many nodes mount."""


def pod_spec(gpus: int = 0, selector: dict[str, str] | None = None, **fields: Any) -> Object:
    """One container; with GPUs it tolerates their taint."""
    container: Object = {"name": "engine", "image": "engine:1"}
    spec: Object = {"containers": [container], "nodeSelector": selector or {}, **fields}
    if gpus:
        container["resources"] = {"limits": {GPU_RESOURCE: str(gpus)}}
        spec.setdefault("tolerations", [{"key": GPU_RESOURCE, "operator": "Exists"}])
    return spec


def pod(name: str, namespace: str, spec: Object, behaviour: Behaviour = AT_ONCE) -> Object:
    """One pod."""
    metadata = {"name": name, "namespace": namespace, "labels": {"app": name}, "annotations": behaviour.annotations()}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def deployment(
    name: str, namespace: str, replicas: int, spec: Object, behaviour: Behaviour = AT_ONCE, **fields: Any
) -> Object:
    """Pods with the label `app: <name>`."""
    labels = {"app": name}
    template = {"metadata": {"labels": labels, "annotations": behaviour.annotations()}, "spec": spec}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template, **fields},
    }


def service(name: str, namespace: str, **fields: Any) -> Object:
    """In front of the pods with the label `app: <name>`."""
    spec = {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}], **fields}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
