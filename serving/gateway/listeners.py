"""The one listener. It is written once: a changed listener cuts every stream that outlives the drain time."""

from pathlib import Path

from serving.gateway.access_log import access_log
from serving.gateway.envoy import BUFFER_BYTES, FILTER, MODULE, Json, extension, seconds, socket_address
from serving.gateway.spec import GatewaySpec

PREFIX = "gateway"
"""`envoy_http_conn_manager_prefix` of the statistics."""
ROUTES = "berth"
"""Name of the route configuration."""
HEALTH_FILTER = "envoy.filters.http.health_check"
HEALTH_PATH = "/healthz"
"""Answers 200 without a key, 503 when the gateway drains: for load balancers and probes."""


def listener(spec: GatewaySpec, routes: Json) -> Json:
    """The listener; `routes` is {"rds": …} or {"route_config": …}."""
    return {
        "name": "gateway",
        "address": socket_address(spec.host, spec.port),
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        "filter_chains": [{"filters": [_connection_manager(spec, routes)]}],
    }


def rds(directory: Path) -> Json:
    """Routes from the file rds.json in `directory`."""
    source = {"path": str(directory / "rds.json"), "watched_directory": {"path": str(directory)}}
    config_source = {"path_config_source": source, "resource_api_version": "V3"}
    return {"rds": {"route_config_name": ROUTES, "config_source": config_source}}


def _connection_manager(spec: GatewaySpec, routes: Json) -> Json:
    longest = max((max(m.timeouts.first_token, m.timeouts.idle) for m in spec.models), default=60.0)
    return extension(
        "envoy.filters.network.http_connection_manager",
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=PREFIX,
        codec_type="AUTO",
        server_name="berth",
        generate_request_id=False,  # costs up to 2 µs a request; the ticket and the log line are enough without traces
        use_remote_address=True,
        xff_num_trusted_hops=spec.trusted_proxies,
        skip_xff_append=True,  # engines have no use for the addresses of clients
        normalize_path=True,
        merge_slashes=True,
        path_with_escaped_slashes_action="REJECT_REQUEST",
        strip_matching_host_port=True,
        max_request_headers_kb=32,
        # From the first byte of a request to its last header; then to the last byte of its body. Answers take as long
        # as they like: a request is complete before its answer begins.
        request_headers_timeout=seconds(spec.header_seconds),
        request_timeout=seconds(spec.body_seconds),
        stream_idle_timeout=seconds(longest),
        delayed_close_timeout="0.2s",
        drain_timeout="5s",
        common_http_protocol_options={
            "idle_timeout": seconds(spec.idle_seconds),
            "max_headers_count": 64,
            "headers_with_underscores_action": "REJECT_REQUEST",
        },
        http2_protocol_options={
            "max_concurrent_streams": 100,
            "initial_stream_window_size": 65_536,
            "initial_connection_window_size": 1_048_576,
        },
        access_log=[access_log(spec.access_log)],
        local_reply_config=_local_replies(),
        http_filters=_filters(),
        **routes,
    )


def _filters() -> list[Json]:
    path = {"name": ":path", "string_match": {"exact": HEALTH_PATH}}
    health = extension(
        HEALTH_FILTER, "filters.http.health_check.v3.HealthCheck", pass_through_mode=False, headers=[path]
    )
    return [
        health | {"disabled": True},  # but on the route of its path: every other request would pay 2 % for it
        extension(
            FILTER,
            "filters.http.dynamic_modules.v3.DynamicModuleFilter",
            dynamic_module_config=MODULE,
            filter_name=FILTER,
        ),
        # dynamic_stats would count answers by status in the cluster's name space, for 5 µs a request.
        extension(
            "envoy.filters.http.router",
            "filters.http.router.v3.Router",
            suppress_envoy_headers=True,
            dynamic_stats=False,
        ),
    ]


def _local_replies() -> Json:
    """Envoy's own errors (no healthy backend, timeouts) in the form of the module's: OpenAI's."""

    def error(message: str, code: str) -> Json:
        fields = {"message": message, "type": "server_error", "param": None, "code": code}
        return {"body_format_override": {"json_format": {"error": fields}}}

    late = error("the model gave no first token in time", "first_token_timeout")
    # The module's own answers carry no flag and stay as they are.
    return {
        "mappers": [
            {"filter": {"response_flag_filter": {"flags": ["SI"]}}, **late},
            {"filter": {"response_flag_filter": {}}, **error("%LOCAL_REPLY_BODY%", "%RESPONSE_CODE_DETAILS%")},
        ]
    }
