"""Routes: one a model, told apart by the header that the module sets, and what the module must know.

Everything that changes while streams are open is here, in the clusters or in the endpoints; never in the listener.
"""

from serving.gateway.envoy import FILTER, MODEL_HEADER, MODULE, TENANT_HEADER, Json, extension, seconds
from serving.gateway.listeners import ROUTES
from serving.gateway.spec import GatewaySpec, HashOn, Model, Policy

_SLACK_BYTES = 1 << 16
"""Over the largest body, so that retries keep it: Envoy drops a retry when its copy of the body would be larger."""


def routes(spec: GatewaySpec) -> Json:
    """The route configuration."""
    nowhere = {"match": {"prefix": "/"}, "name": "nowhere", "direct_response": {"status": 404}}
    return {
        "name": ROUTES,
        "virtual_hosts": [
            {
                "name": "all",
                "domains": ["*"],
                "typed_per_filter_config": {FILTER: _module_config(spec)},
                "routes": [*(_route(spec, model) for model in spec.models), nowhere],
            }
        ],
    }


def _module_config(spec: GatewaySpec) -> Json:
    """What the module reads in src/config.rs."""
    config = {
        "max_body": spec.max_body_bytes,
        "models": [_module_model(model) for model in spec.models],
        "tenants": [{"name": t.name, "keys": list(t.key_digests)} for t in spec.tenants],
    }
    return {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilterPerRoute",
        "dynamic_module_config": MODULE,
        "filter_name": FILTER,
        "filter_config": {"@type": "type.googleapis.com/google.protobuf.Struct", "value": config},
    }


def _module_model(model: Model) -> Json:
    return {
        "name": model.name,
        "openai": list(model.openai),
        "native": list(model.native),
        "picks": model.routing.policy is Policy.ESTIMATED_TTFT,
    }


def _route(spec: GatewaySpec, model: Model) -> Json:
    timeouts = model.timeouts
    action: Json = {
        "cluster": model.name,
        "timeout": "0s",  # the limits below fit streams; this one would cut them
        "idle_timeout": seconds(max(timeouts.first_token, timeouts.idle)),
        "max_stream_duration": {"max_stream_duration": seconds(timeouts.stream)},
    }
    if model.retries.attempts:
        action["retry_policy"] = _retries(model)
    if model.routing.policy is Policy.CONSISTENT_HASH:
        action["hash_policy"] = _hash(model)
    return {
        "name": model.name,
        "match": {"prefix": "/", "headers": [{"name": MODEL_HEADER, "string_match": {"exact": model.name}}]},
        "request_body_buffer_limit": spec.max_body_bytes + _SLACK_BYTES,
        "route": action,
    }


def _retries(model: Model) -> Json:
    return {
        # All before the first byte of an answer. 503: a server that drains or has just lost its shards; not 429, or a
        # full model would be asked three times.
        "retry_on": "connect-failure,refused-stream,reset-before-request,reset,retriable-status-codes",
        "retriable_status_codes": [503],
        "num_retries": model.retries.attempts,
        "retry_host_predicate": [
            extension(
                "envoy.retry_host_predicates.previous_hosts", "retry.host.previous_hosts.v3.PreviousHostsPredicate"
            )
        ],
        "host_selection_retry_max_attempts": 3,
        "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
    }


def _hash(model: Model) -> list[Json]:
    routing = model.routing
    tenant = {"header": {"header_name": TENANT_HEADER}}
    match routing.on:
        case HashOn.TENANT:
            return [tenant]
        case HashOn.CLIENT_ADDRESS:
            return [{"connection_properties": {"source_ip": True}}]
        case HashOn.HEADER:
            return [{"header": {"header_name": routing.header}}]
        case HashOn.SESSION:
            return [{"header": {"header_name": "x-session-id"}, "terminal": True}, tenant]
