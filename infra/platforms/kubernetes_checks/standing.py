"""What of a stack stands already and must not become less by a deployment."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from infra.cluster import Client, Object, label_query
from infra.components.kubernetes.labels import INSTANCE, NAME, Role, owned
from infra.components.kubernetes.model_store_job import SOURCE
from infra.platforms.kubernetes_checks import storage
from infra.settings import Settings


@dataclass(frozen=True, slots=True)
class Standing:
    """Of a stack that is not there yet: nothing."""

    volume_bytes: int = 0
    """What the claim of the weights asks for: a claim cannot shrink."""
    replicas: Mapping[str, int] = field(default_factory=dict)
    """By server, what its scaler has made of the number: a workload that takes the place of another starts with it."""
    sources: tuple[str, ...] | None = None
    """Whose weights its servers may read, all sources of the last deployment among them. None: nobody has looked."""


def standing(client: Client, settings: Settings) -> Standing:
    """Read from the cluster."""
    replicas: dict[str, int] = {}
    for item in _items(client, settings, "apps/v1", "Deployment", Role.SERVER):
        server = item["metadata"]["labels"][INSTANCE]
        replicas[server] = max(replicas.get(server, 0), item["spec"]["replicas"])
    # The Job of a source stays until a deployment without it has ended, and with it the last server that reads it.
    jobs = _items(client, settings, "batch/v1", "Job", Role.STORE)
    sources = tuple(sorted(item["metadata"]["annotations"][SOURCE] for item in jobs))
    return Standing(storage.claimed_bytes(client, settings), replicas, sources)


def _items(client: Client, settings: Settings, version: str, kind: str, role: Role) -> list[Object]:
    labels = label_query({**owned(settings.stack), NAME: str(role)})
    return client.items(version, kind, settings.kubernetes.namespace, labels=labels)
