"""Small parts of Envoy's JSON that several builders use."""

import hashlib
import json
from typing import Any

Json = dict[str, Any]
"""A JSON object."""

MODULE: Json = {"name": "picker", "do_not_close": True, "metrics_namespace": "berth"}
"""libpicker.so on ENVOY_DYNAMIC_MODULES_SEARCH_PATH. Never unloaded: its pools outlive configurations. Its statistics
are envoy_berth_… in Prometheus's format."""

MODEL_HEADER = "x-berth-model"
"""Set by the module (src/stream.rs); routes match on it. A client's own value is dropped."""
REVISION_HEADER = "x-berth-revision"
"""Set by the module to "stable" when the new revision of a model has no backend."""
TENANT_HEADER = "x-berth-tenant"
"""Set by the module."""
FILTER = "berth"
"""Name of the module's filter: the key of its per-route configuration, and its metadata namespace."""

BUFFER_BYTES = 64 * 1024
"""Per connection, both sides: a slow reader stops the engine's stream instead of filling memory."""


def extension(name: str, kind: str, **fields: Any) -> Json:
    """An extension with its typed configuration; `kind` without the common beginning of the type URL."""
    return {"name": name, "typed_config": {"@type": f"type.googleapis.com/envoy.extensions.{kind}", **fields}}


def seconds(value: float) -> str:
    """A protobuf duration."""
    return f"{value:.9f}".rstrip("0").rstrip(".") + "s"


def socket_address(host: str, port: int) -> Json:
    """An address with a port."""
    return {"socket_address": {"address": host, "port_value": port}}


def discovery(kind: str, resources: list[Json]) -> Json:
    """A file of resources as Envoy's file subscriptions read it; the version is a hash of the content.

    `kind` without the common beginning of the type URL: "config.cluster.v3.Cluster".
    """
    typed = [{"@type": f"type.googleapis.com/envoy.{kind}", **r} for r in resources]
    version = hashlib.sha256(json.dumps(typed, sort_keys=True).encode()).hexdigest()[:16]
    return {"version_info": version, "resources": typed}
