"""What other machines may ask a gateway for: its statistics, and whether it is well. The admin port stays local."""

from serving.gateway.envoy import Json, extension, socket_address
from serving.gateway.spec import GatewaySpec

METRICS_PATH = "/stats/prometheus"
READY_PATH = "/ready"
"""200 when it has its configuration and does not drain, else 503."""
LIVE_PATH = "/live"
"""200 as long as its worker threads answer."""
_ADMIN = "berth_admin"  # no model can be called so: names have no "_"


def metrics(spec: GatewaySpec, host: str, port: int) -> Json:
    """Static resources: a listener that passes two paths on to the admin port, for GET alone."""
    return {
        "listeners": [
            {
                "name": "metrics",
                "address": socket_address(host, port),
                "filter_chains": [{"filters": [_connection_manager()]}],
            }
        ],
        "clusters": [
            {
                "name": _ADMIN,
                "type": "STATIC",
                "connect_timeout": "1s",
                "load_assignment": {
                    "cluster_name": _ADMIN,
                    "endpoints": [
                        {"lb_endpoints": [{"endpoint": {"address": socket_address("127.0.0.1", spec.admin_port)}}]}
                    ],
                },
            }
        ],
    }


def _connection_manager() -> Json:
    get = {"name": ":method", "string_match": {"exact": "GET"}}
    routes: list[Json] = [
        {"match": {"path": path, "headers": [get]}, "route": {"cluster": _ADMIN, "timeout": "10s"}}
        for path in (METRICS_PATH, READY_PATH)
    ]
    routes.append({"match": {"path": LIVE_PATH, "headers": [get]}, "direct_response": {"status": 200}})
    return extension(
        "envoy.filters.network.http_connection_manager",
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="metrics",
        generate_request_id=False,
        normalize_path=True,
        request_headers_timeout="5s",
        stream_idle_timeout="15s",
        common_http_protocol_options={"idle_timeout": "60s"},
        route_config={"name": "metrics", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        http_filters=[extension("envoy.filters.http.router", "filters.http.router.v3.Router")],
    )
