"""Backends of a model as Envoy's endpoints, and back."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from serving.gateway.envoy import FILTER, Json, socket_address


@dataclass(frozen=True, slots=True)
class Backend:
    """One model server."""

    replica: str
    """Its name among the model's replicas."""
    address: str
    """An IP address."""
    port: int
    metadata: Mapping[str, float | int | str] = field(default_factory=dict)
    """What the picker should know: `speed` (relative, 1 is normal), `kv_tokens` (size of the KV cache in tokens),
    `concurrent_requests` (requests it runs at once). Others are kept and ignored."""
    weight: int = 1
    """For the policy `weighted`."""


def assignment(model: str, backends: Iterable[Backend]) -> Json:
    """The load assignment of a model's cluster."""
    endpoints = [
        {
            "endpoint": {"address": socket_address(b.address, b.port)},
            "load_balancing_weight": b.weight,
            "metadata": {"filter_metadata": {FILTER: {**b.metadata, "replica": b.replica}}},
        }
        for b in sorted(backends, key=lambda b: b.replica)
    ]
    return {"cluster_name": model, "endpoints": [{"lb_endpoints": endpoints}]}


def read(assignment: Json) -> list[Backend]:
    """The backends in a load assignment made by `assignment`."""
    found = []
    for locality in assignment["endpoints"]:
        for item in locality.get("lb_endpoints", []):
            metadata = dict(item["metadata"]["filter_metadata"][FILTER])
            address = item["endpoint"]["address"]["socket_address"]
            found.append(
                Backend(
                    replica=metadata.pop("replica"),
                    address=address["address"],
                    port=address["port_value"],
                    metadata=metadata,
                    weight=item["load_balancing_weight"],
                )
            )
    return found
