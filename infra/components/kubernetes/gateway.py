"""The gateway on Kubernetes: Envoy with the picker, two or more pods that share what they know."""

import base64
from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

import pulumi
import pulumi_kubernetes as k8s

from infra.components.kubernetes.gateway_config import Front, in_a_pod, sources
from infra.components.kubernetes.gateway_network import network_policy, peers_service, service
from infra.components.kubernetes.gateway_pod import autoscaler, budget, deployment
from infra.components.kubernetes.making import child_of


class GatewayReplicas(TypedDict):
    """How many pods."""

    min: int
    """Least pods, 1 or more."""
    max: int
    """Most pods; above `min` a HorizontalPodAutoscaler decides, by processor time."""


class GatewayArgs(TypedDict):
    """One gateway."""

    namespace: str
    """Namespace of everything it makes."""
    stack: str
    """Name of the stack, for labels."""
    image: pulumi.Input[str]
    """Image of images/gateway, by digest."""
    spec: dict[str, Any]
    """Models, routes and timeouts: `gateway_config.plain(spec)`. Ports, addresses and the log are set here."""
    private: pulumi.Input[dict[str, Any]]
    """`tenants` with digests of their keys, `provider_keys` by name; secret. Limits of tenants are of all pods
    together: each pod has its part by the least number of pods."""
    hosts: dict[str, str]
    """DNS name of the servers of each set of backends: a model's name, and <model>.canary, <model>.shadow."""
    capacities: NotRequired[dict[str, dict[str, float]]]
    """What the picker should know of each server, by set of backends: `concurrent_requests` (needed to shed load by
    priority), `kv_tokens`, `speed`. Default: nothing."""
    replicas: GatewayReplicas
    """Pods."""
    host: str
    """Public name, such as api.example.com. Its DNS record is the user's, or another component's."""
    certificate: NotRequired[str]
    """Name of a Secret of type kubernetes.io/tls in the namespace; renewals are taken over within two minutes and cut
    nothing. Default: plain HTTP on port 80."""
    peers_key: NotRequired[pulumi.Input[str]]
    """32 random bytes in hexadecimal, the same for all pods and all runs (`KeptSecret`); secret. Default: pods do not
    tell each other their picks."""
    image_pull_secret: NotRequired[str]
    """Name of a Secret of type kubernetes.io/dockerconfigjson in the namespace, by which images are pulled. Default:
    the nodes' own credentials."""
    cpu_millis: NotRequired[int]
    """Requested processor of one pod, in thousandths of a core. Default: 500 for each worker thread."""
    priority_class: NotRequired[str]
    """Priority class of the pods. Default: the cluster's."""
    service_type: NotRequired[str]
    """LoadBalancer, or ClusterIP where an ingress of the cluster stands in front. Default: LoadBalancer.

    In the log clients have the addresses of nodes, unless a model's routing needs their own (`on: client_address`)."""
    service_annotations: NotRequired[dict[str, str]]
    """For the load balancer's controller. Default: none."""


class Gateway(pulumi.ComponentResource):
    """Envoy with the picker behind a load balancer.

    Models, servers, weights, keys and limits change in files under the running pods and cut nothing. They reach every
    pod within about two minutes (the kubelet's period and cache). Ports, log, memory and a certificate's name are the
    listener's: another value rolls the pods, which finish their streams first.

    The provider must have `enable_config_map_mutable` and `enable_secret_mutable`: otherwise it replaces what should
    change in place.
    """

    url: pulumi.Output[str]
    """http(s)://<host>, known at preview."""

    def __init__(self, name: str, args: GatewayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        hidden = pulumi.Output.secret(args["private"])
        super().__init__("berth:index:Gateway", name, {**args, "private": hidden}, opts)
        front = _front(name, args)
        front.check()
        child = child_of(self, opts)

        account = k8s.core.v1.ServiceAccount(
            name, metadata=_metadata(front, name), automount_service_account_token=False, opts=child
        )
        policy = k8s.networking.v1.NetworkPolicy(
            name, metadata=_metadata(front, name), spec=network_policy(front), opts=child
        )
        start_name = front.start_name()
        start = k8s.core.v1.ConfigMap(
            f"{name}-start", metadata=_metadata(front, start_name), data=front.start(), immutable=True, opts=child
        )
        clusters = k8s.core.v1.ConfigMap(
            front.clusters_name, metadata=_metadata(front, front.clusters_name), data=front.clusters(), opts=child
        )
        routes = k8s.core.v1.Secret(
            front.routes_name,
            metadata=_metadata(front, front.routes_name),
            type="Opaque",
            data=_secret_files(front, hidden, args.get("peers_key")),
            # Servers of a new model come first; held requests bridge what the kubelets turn round.
            opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=[clusters])),
        )
        if front.peers:
            k8s.core.v1.Service(
                front.peers_name, metadata=_metadata(front, front.peers_name), spec=peers_service(front), opts=child
            )
        pods = k8s.apps.v1.Deployment(
            name,
            metadata=_metadata(front, name),
            spec=deployment(front, args["image"]),
            opts=pulumi.ResourceOptions.merge(
                child, pulumi.ResourceOptions(depends_on=[account, policy, start, clusters, routes])
            ),
        )
        after = pulumi.ResourceOptions(parent=self, depends_on=[pods])
        k8s.policy.v1.PodDisruptionBudget(name, metadata=_metadata(front, name), spec=budget(front), opts=child)
        if front.most > front.least:
            k8s.autoscaling.v2.HorizontalPodAutoscaler(
                name, metadata=_metadata(front, name), spec=autoscaler(front), opts=after
            )
        k8s.core.v1.Service(
            name,
            metadata=_metadata(front, name) | {"annotations": dict(front.service_annotations)},
            spec=service(front),
            opts=after,
        )
        self.url = pulumi.Output.from_input(f"{'https' if front.certificate else 'http'}://{args['host']}")
        self.register_outputs({"url": self.url})


def _front(name: str, args: GatewayArgs) -> Front:
    return Front(
        name=name,
        namespace=args["namespace"],
        stack=args["stack"],
        spec=in_a_pod(args["spec"]),
        sources=sources(args["hosts"], args.get("capacities") or {}),
        least=args["replicas"]["min"],
        most=args["replicas"]["max"],
        certificate=args.get("certificate"),
        peers=args.get("peers_key") is not None,
        cpu_millis=args.get("cpu_millis"),
        priority_class=args.get("priority_class"),
        image_pull_secret=args.get("image_pull_secret"),
        service_type=args.get("service_type") or "LoadBalancer",
        service_annotations=args.get("service_annotations") or {},
    )


def _metadata(front: Front, name: str) -> dict[str, Any]:
    return {"name": name, "namespace": front.namespace, "labels": front.labels}


def _secret_files(
    front: Front, private: pulumi.Output[dict[str, Any]], peers_key: pulumi.Input[str] | None
) -> pulumi.Output[dict[str, str]]:
    both = pulumi.Output.all(private, peers_key)

    def encoded(values: list[Any]) -> dict[str, str]:
        files: Mapping[str, str] = front.routes(values[0], values[1])
        return {name: base64.b64encode(text.encode()).decode() for name, text in files.items()}

    return pulumi.Output.secret(both.apply(encoded))
