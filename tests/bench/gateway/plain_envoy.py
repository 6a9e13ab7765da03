"""Envoy with nothing on: what any gateway made of Envoy costs at least."""

import json
from pathlib import Path

from infra.toolchain import ensure
from serving.gateway.envoy import Json, extension, socket_address
from tests.bench.gateway.contender import Running, Setting
from tests.bench.gateway.process import free_ports

_LIMITS = ("max_connections", "max_pending_requests", "max_requests")


def start(setting: Setting) -> Running:
    """One worker thread, round robin; no keys, limits, log, retries, health checks, request ids or dynamic stats."""
    (port,) = free_ports(1)
    path = setting.processes.folder / "plain-envoy.json"
    path.write_text(json.dumps(_config(port, setting.backends)))
    argv: list[str | Path] = [*setting.under, ensure("envoy"), "-c", path, "--concurrency", "1"]
    argv += ["--use-dynamic-base-id", "--disable-hot-restart", "--log-level", "warning"]
    process = setting.processes.start("plain envoy", argv, core=setting.core)
    process.wait_port(port)
    return Running((port,), (process,))


def _config(port: int, backends: tuple[int, ...]) -> Json:
    endpoints = [{"endpoint": {"address": socket_address("127.0.0.1", backend)}} for backend in backends]
    cluster = {
        "name": "chat",
        "type": "STATIC",
        "connect_timeout": "1s",
        # The default of 1,024 would refuse streams.
        "circuit_breakers": {"thresholds": [dict.fromkeys(_LIMITS, 16384)]},
        "load_assignment": {"cluster_name": "chat", "endpoints": [{"lb_endpoints": endpoints}]},
    }
    manager = extension(
        "envoy.filters.network.http_connection_manager",
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="plain",
        generate_request_id=False,
        http_filters=[
            extension(
                "envoy.filters.http.router",
                "filters.http.router.v3.Router",
                suppress_envoy_headers=True,
                dynamic_stats=False,
            )
        ],
        route_config={
            "name": "all",
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "chat", "timeout": "0s"}}],
                }
            ],
        },
    )
    listener = {
        "name": "plain",
        "address": socket_address("127.0.0.1", port),
        "filter_chains": [{"filters": [manager]}],
    }
    return {"static_resources": {"clusters": [cluster], "listeners": [listener]}}
