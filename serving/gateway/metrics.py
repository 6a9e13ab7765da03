"""What other machines may ask a gateway for: its statistics, and whether it is well. The admin port stays local."""

from serving.gateway.envoy import FILTER, Json, extension, socket_address
from serving.gateway.spec import GatewaySpec

METRICS_PATH = "/stats/prometheus"
READY_PATH = "/ready"
"""200 when it has its configuration and does not drain, else 503."""
LIVE_PATH = "/live"
"""200 as long as its worker threads answer."""
STARTED_PATH = "/started"
"""At the clients' own listener: 200 once routes and clusters are the kit's, whatever else is wrong. Envoy alone calls
itself ready, too, when it has refused the first files it read."""
# No model can be called so: names have no "_".
_ADMIN = "berth_admin"
_LIVE = "berth_live"


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
        "clusters": [_here(_ADMIN, spec.admin_port)],
    }


def started_cluster(port: int) -> Json:
    """What the route below leads to; `port` is that of `metrics`. It comes and goes with the models' clusters."""
    return _here(_LIVE, port)


def started_route() -> Json:
    """A route to be asked without a key: it is there when the routes are, and answers when the clusters are."""
    disabled = {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": True}
    return {
        "name": "started",
        "match": {"path": STARTED_PATH},
        "route": {"cluster": _LIVE, "prefix_rewrite": LIVE_PATH, "timeout": "2s"},
        "typed_per_filter_config": {FILTER: disabled},
    }


def _here(name: str, port: int) -> Json:
    address = {"endpoint": {"address": socket_address("127.0.0.1", port)}}
    assignment = {"cluster_name": name, "endpoints": [{"lb_endpoints": [address]}]}
    return {"name": name, "type": "STATIC", "connect_timeout": "1s", "load_assignment": assignment}


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
