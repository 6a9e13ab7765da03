"""A Pulumi program with a namespace, a claim that stands for the model store, and model servers."""

from collections.abc import Mapping
from typing import Any

from infra.components.kubernetes.labels import INSTANCE
from infra.components.kubernetes.server_args import ModelServerArgs
from infra.components.kubernetes.server_pods import CONFIG
from tests.support.cluster import Behaviour
from tests.support.cluster.timeline import ready
from tests.support.kubernetes_api import Client, Object

_PROGRAM = """
from infra.components.kubernetes.model_server import ModelServer
from infra.components.kubernetes.namespace import Namespace

given = {given!r}


def impatient(args):
    if args.type_ != "kubernetes:apps/v1:Deployment" or not given["patience"]:
        return None
    args.opts.custom_timeouts = CustomTimeouts(create=given["patience"], update=given["patience"])
    return pulumi.ResourceTransformResult(args.props, args.opts)


pulumi.runtime.register_resource_transform(impatient)
on = ResourceOptions(providers=[cluster])
space = Namespace("space", given["space"], on)
inside = ResourceOptions(providers=[cluster], depends_on=[space])
metadata = {{"namespace": given["space"]["name"]}}
bucket = k8s.storage.v1.StorageClass(
    "shared",
    metadata={{"name": given["space"]["name"]}},
    provisioner="simulated",
    opts=ResourceOptions(provider=cluster),
)
claim = k8s.core.v1.PersistentVolumeClaim(
    "models",
    metadata=metadata | {{"name": "models"}},
    spec={{
        "access_modes": ["ReadWriteMany"],
        "resources": {{"requests": {{"storage": "1Gi"}}}},
        "storage_class_name": bucket.metadata["name"],
    }},
    opts=ResourceOptions(provider=cluster, depends_on=[space]),
)
ready = ResourceOptions(providers=[cluster], depends_on=[space, claim])
for name, args in given["servers"].items():
    server = ModelServer(name, args, ready)
    pulumi.export(name, {{"host": server.host, "port": server.port}})
"""


def text(space: str, servers: Mapping[str, ModelServerArgs], gpus: int | None = None, patience: str = "") -> str:
    """The program; `gpus` is the namespace's quota, `patience` replaces the waits for Deployments, such as "8s"."""
    quota = {"gpu_quota": {"nvidia.com/gpu": gpus}} if gpus is not None else {}
    given = {"space": {"name": space, "stack": "test", **quota}, "servers": dict(servers), "patience": patience}
    return _PROGRAM.format(given=given)


def simulated(args: ModelServerArgs, behaviour: Behaviour, space: str) -> ModelServerArgs:
    """The same in a namespace of the test, its simulated pods behaving as said."""
    lives: Any = {
        **args,
        "namespace": space,
        "priority_class": f"{space}-model-server",
        "pod_annotations": behaviour.annotations(),
    }
    return lives  # type: ignore[no-any-return]


def pods(api: Client, space: str, server: str) -> list[Object]:
    """Of a server, those that are ready."""
    return [item for item in api.items("v1", "Pod", space, labels=f"{INSTANCE}={server}") if ready(item)]


def contents(found: list[Object]) -> set[str]:
    """Their checksums."""
    return {item["metadata"]["annotations"][CONFIG] for item in found}


def gpus(pod: Object) -> int:
    """That it holds: placed, and not gone."""
    if "nodeName" not in pod["spec"]:
        return 0
    limits = (container["resources"].get("limits", {}) for container in pod["spec"]["containers"])
    return sum(int(limit.get("nvidia.com/gpu", 0)) for limit in limits)


def addresses(api: Client, space: str, service: str) -> set[str]:
    """Behind a Service, ready."""
    return {
        address
        for part in api.items(
            "discovery.k8s.io/v1", "EndpointSlice", space, labels=f"kubernetes.io/service-name={service}"
        )
        for endpoint in part.get("endpoints") or ()
        if endpoint["conditions"].get("ready")
        for address in endpoint["addresses"]
    }
