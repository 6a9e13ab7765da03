"""Names that components share without asking each other, so that all of them are known at preview."""

from infra.components.kubernetes.labels import Role

SERVER_PORT = 8080
"""Of model servers; the same on their Service."""
PORT_NAME = "http"
GATEWAY_PORT, GATEWAY_TLS_PORT = 8000, 8443
GATEWAY_METRICS_PORT = 9902
PEERS_PORT = 7946
"""UDP, among gateways."""
PROMETHEUS_PORT = 9090
TAKEN = frozenset({"default", "deny-all", "gateway", "gateway-peers", "model-store", "prometheus"})
"""Names of the other accounts, Services and policies of a namespace, which no server can have."""
WEIGHTS = "/models"
"""Where servers find the store, read-only."""


def host(service: str, namespace: str) -> str:
    """DNS name of a Service inside the cluster."""
    return f"{service}.{namespace}.svc.cluster.local"


def priority_class(namespace: str, role: Role) -> str:
    """Priority classes are the cluster's, so their names carry the namespace."""
    return f"{namespace}-{role}"


def weights(location: str) -> str:
    """Folder of a version in a server's file system."""
    return f"{WEIGHTS}/{location}"
