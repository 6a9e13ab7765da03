"""The part of Envoy's configuration that is read once: admin, limits, and where the rest is."""

from pathlib import Path

from serving.gateway.envoy import Json, extension, socket_address
from serving.gateway.spec import GatewaySpec


def bootstrap(spec: GatewaySpec, directory: Path) -> Json:
    """The bootstrap of a gateway whose dynamic configuration lies in `directory` (absolute)."""

    def file(name: str) -> Json:
        source = {"path": str(directory / name), "watched_directory": {"path": str(directory)}}
        return {"path_config_source": source, "resource_api_version": "V3"}

    return base(spec) | {"dynamic_resources": {"lds_config": file("lds.json"), "cds_config": file("cds.json")}}


def base(spec: GatewaySpec) -> Json:
    """All of the bootstrap but the sources of listeners and clusters."""
    return {
        "node": {"id": "gateway", "cluster": "berth"},
        # Read-only and local: /quitquitquit and /config_dump stay shut. The drain calls are for gateway.drain.
        "admin": {
            "address": socket_address("127.0.0.1", spec.admin_port),
            "allow_paths": [
                {"exact": "/ready"},
                {"prefix": "/stats"},
                {"exact": "/healthcheck/fail"},
                {"exact": "/healthcheck/ok"},
                {"prefix": "/drain_listeners"},
            ],
        },
        "overload_manager": {
            "refresh_interval": "0.25s",
            "resource_monitors": [
                extension(
                    "envoy.resource_monitors.fixed_heap",
                    "resource_monitors.fixed_heap.v3.FixedHeapConfig",
                    max_heap_size_bytes=spec.max_heap_bytes,
                ),
                extension(
                    "envoy.resource_monitors.global_downstream_max_connections",
                    "resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                    max_active_downstream_connections=spec.max_connections,
                ),
            ],
            "actions": [
                _at("envoy.overload_actions.shrink_heap", 0.90),
                _at("envoy.overload_actions.disable_http_keepalive", 0.92),
                _at("envoy.overload_actions.stop_accepting_requests", 0.95),
            ],
            "loadshed_points": [_at("envoy.load_shed_points.tcp_listener_accept", 0.97)],
        },
        "stats_config": {"stats_tags": [], "histogram_bucket_settings": []},
    }


def _at(action: str, pressure: float) -> Json:
    trigger = {"name": "envoy.resource_monitors.fixed_heap", "threshold": {"value": pressure}}
    return {"name": action, "triggers": [trigger]}
