"""Parts of network policies."""

from collections.abc import Mapping, Sequence
from typing import Any

_DNS_NAMESPACE = "kube-system"
_LOCAL_DNS = "169.254.20.10/32"
"""NodeLocal DNSCache, where a cluster has it."""


def tcp(port: int) -> dict[str, Any]:
    """A TCP port."""
    return {"port": port, "protocol": "TCP"}


def udp(port: int) -> dict[str, Any]:
    """A UDP port."""
    return {"port": port, "protocol": "UDP"}


def pods(labels: Mapping[str, str], namespace: str = "") -> dict[str, Any]:
    """Pods of a namespace; of the policy's own when none is given."""
    peer: dict[str, Any] = {"podSelector": {"matchLabels": dict(labels)}}
    if namespace:
        peer["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    return peer


def dns(addresses: Sequence[str] = ()) -> dict[str, Any]:
    """The way to the cluster's DNS: its pods, the cache on each node, and what else `addresses` (CIDRs) say."""
    return {
        "to": [
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": _DNS_NAMESPACE}}},
            *({"ipBlock": {"cidr": cidr}} for cidr in (_LOCAL_DNS, *addresses)),
        ],
        "ports": [udp(53), tcp(53)],
    }
