"""What stands around the pods of a model server."""

from typing import Any

from infra.components.kubernetes import names, network
from infra.components.kubernetes.scaling import Target, scaled_object
from infra.components.kubernetes.scaling_args import ServerScaling
from infra.components.kubernetes.server import Server
from infra.components.kubernetes.server_workload import WORKER_INDEX, workload, workload_selector


def service_account(server: Server) -> dict[str, Any]:
    """An identity without rights, and without a token to use them."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": server.metadata(),
        "automountServiceAccountToken": False,
    }


def service(server: Server) -> dict[str, Any]:
    """Headless: a name whose addresses are the pods that are ready. Each gateway chooses among them itself."""
    first = {WORKER_INDEX: "0"} if server.replica.hosts > 1 else {}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": server.metadata(),
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "None",
            "publishNotReadyAddresses": False,
            "selector": {**workload_selector(server), **first},
            "ports": [
                {
                    "name": names.PORT_NAME,
                    "port": names.SERVER_PORT,
                    "targetPort": names.PORT_NAME,
                    "protocol": "TCP",
                    "appProtocol": "http",
                }
            ],
        },
    }


def disruption_budget(server: Server) -> dict[str, Any]:
    """Nodes are emptied one pod of a model at a time; one that is not ready anyway never stands in the way."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": server.metadata(),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": server.selector},
        },
    }


def network_policy(server: Server) -> dict[str, Any]:
    """Requests from the gateway, scrapes from Prometheus; the pods themselves connect to nobody."""
    port = network.tcp(names.SERVER_PORT)
    ingress = [
        {"from": [network.pods(server.gateway.labels, server.gateway.namespace)], "ports": [port]},
        {"from": [network.pods(server.prometheus.labels, server.prometheus.namespace)], "ports": [port]},
    ]
    egress: list[dict[str, Any]] = []
    if server.replica.hosts > 1:
        # Collectives choose their ports freely.
        ingress.append({"from": [network.pods(server.selector)]})
        egress = [{"to": [network.pods(server.selector)]}, network.dns()]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": server.metadata(),
        "spec": {
            "podSelector": {"matchLabels": server.selector},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": ingress,
            "egress": egress,
        },
    }


def scaler(server: Server, scaling: ServerScaling) -> dict[str, Any]:
    """It follows the workload: with old and new side by side, to the new one."""
    scaled = workload(server)
    return scaled_object(
        server.name,
        server.namespace,
        server.labels,
        Target(scaled["metadata"]["name"], scaled["kind"], scaled["apiVersion"]),
        server.replica.model,
        server.engine.metrics(server.task).waiting,
        scaling,
    )


def manifests(server: Server) -> list[dict[str, Any]]:
    """All of them, in the order of their creation."""
    return [
        service_account(server),
        network_policy(server),
        workload(server),
        service(server),
        disruption_budget(server),
        *([scaler(server, server.scaling)] if server.scaling else []),
    ]
