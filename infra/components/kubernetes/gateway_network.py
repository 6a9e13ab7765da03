"""How the gateway is reached, and whom its pods may talk to. Pure: parts of manifests as plain dicts."""

from collections.abc import Iterator
from typing import Any

from infra.components.kubernetes.gateway_config import Front
from infra.components.kubernetes.labels import NAME, STACK, Role
from infra.components.kubernetes.names import (
    GATEWAY_METRICS_PORT,
    GATEWAY_PORT,
    GATEWAY_TLS_PORT,
    PEERS_PORT,
    SERVER_PORT,
)
from infra.components.kubernetes.network import dns, pods, tcp, udp
from serving.gateway.provider import URL
from serving.gateway.routing import HashOn

Manifest = dict[str, Any]

_PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16")
"""Addresses of clusters and clouds themselves, the metadata service among them."""


def service(front: Front) -> Manifest:
    """Spec of the Service that clients come through."""
    scheme, port = ("https", 443) if front.certificate else ("http", 80)
    by_address = any(model.routing.on is HashOn.CLIENT_ADDRESS for model in front.spec.models)
    return {
        "type": front.service_type,
        # Otherwise nodes pass connections on to each other, and every client has the address of a node.
        **({"externalTrafficPolicy": "Local"} if by_address and front.service_type == "LoadBalancer" else {}),
        "selector": front.selector,
        "ports": [{"name": scheme, "port": port, "targetPort": scheme, "protocol": "TCP"}],
    }


def peers_service(front: Front) -> Manifest:
    """Spec of the headless Service by which its pods find each other, also before they are ready."""
    return {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "selector": front.selector,
        "ports": [{"name": "peers", "port": PEERS_PORT, "targetPort": "peers", "protocol": "UDP"}],
    }


def network_policy(front: Front) -> Manifest:
    """Spec of the NetworkPolicy: exactly what a gateway needs, both ways."""
    return {
        "podSelector": {"matchLabels": front.selector},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": list(_ingress(front)),
        "egress": list(_egress(front)),
    }


def _ingress(front: Front) -> Iterator[Manifest]:
    # Clients, from anywhere. The kubelet's probes pass without a rule.
    yield {"ports": [tcp(GATEWAY_TLS_PORT if front.certificate else GATEWAY_PORT)]}
    yield {"from": [pods({NAME: str(Role.PROMETHEUS)})], "ports": [tcp(GATEWAY_METRICS_PORT)]}
    if front.peers:
        yield {"from": [pods(front.selector)], "ports": [udp(PEERS_PORT)]}


def _egress(front: Front) -> Iterator[Manifest]:
    yield dns()
    yield {"to": [pods({NAME: str(Role.SERVER), STACK: front.stack})], "ports": [tcp(SERVER_PORT)]}
    if front.peers:
        yield {"to": [pods(front.selector)], "ports": [udp(PEERS_PORT)]}
    if ports := sorted({_url_port(provider.url) for provider in front.spec.providers}):
        public = [
            {"ipBlock": {"cidr": "0.0.0.0/0", "except": list(_PRIVATE)}},
            {"ipBlock": {"cidr": "::/0", "except": ["fc00::/7", "fe80::/10"]}},
        ]
        yield {"to": public, "ports": [tcp(port) for port in ports]}


def _url_port(url: str) -> int:
    matched = URL.fullmatch(url)
    if matched and matched[3]:
        return int(matched[3])
    return 80 if url.startswith("http:") else 443
