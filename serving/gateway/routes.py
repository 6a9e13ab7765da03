"""Routes: one a model, told apart by the header that the module sets, and what the module must know.

Everything that changes while streams are open is here, in the clusters or in the endpoints; never in the listener.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict

from serving.gateway.care import Timeouts
from serving.gateway.envoy import FILTER, MODEL_HEADER, MODULE, REVISION_HEADER, TENANT_HEADER, Json, extension, seconds
from serving.gateway.listeners import HEALTH_FILTER, HEALTH_PATH, ROUTES
from serving.gateway.model import Model
from serving.gateway.provider import URL, Provider
from serving.gateway.routing import HashOn, Policy
from serving.gateway.spec import GatewaySpec
from serving.gateway.tenant import Priority

_SLACK_BYTES = 1 << 16
"""Over the largest body, so that retries keep it: Envoy drops a retry when its copy of the body would be larger."""


_SHED_AT = {Priority.LOW: 1.0, Priority.NORMAL: 1.5, Priority.HIGH: 2.0}
"""The load (requests in flight as a share of what the healthy backends run at once) from which requests are refused."""


def routes(spec: GatewaySpec) -> Json:
    """The route configuration."""
    nowhere = {"match": {"prefix": "/"}, "name": "nowhere", "direct_response": {"status": 404}}
    every = [route for model in spec.models for route in _routes(spec, model)]
    return {
        "name": ROUTES,
        # Otherwise routes to a cluster that is not there are taken, and answer 503. Refused, they leave the old ones.
        "validate_clusters": True,
        "virtual_hosts": [
            {
                "name": "all",
                "domains": ["*"],
                "typed_per_filter_config": {FILTER: _module_config(spec)},
                "routes": [_health_route(), *every, *(_provider_route(spec, p) for p in spec.providers), nowhere],
            }
        ],
    }


def _health_route() -> Json:
    on = {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "config": {}}
    return {
        "name": "health",
        "match": {"path": HEALTH_PATH},
        "direct_response": {"status": 404},  # the filter answers before the route does
        "typed_per_filter_config": {HEALTH_FILTER: on},
    }


def _module_config(spec: GatewaySpec) -> Json:
    """What the module reads in src/config.rs."""
    config: Json = {
        "max_body": spec.max_body_bytes,
        "models": [*map(_module_model, spec.models), *map(_module_provider, spec.providers)],
        "tenants": [
            {
                "name": tenant.name,
                "keys": list(tenant.key_digests),
                "shed_at": _SHED_AT[tenant.priority],
                **_given(
                    requests_per_minute=tenant.requests_per_minute,
                    tokens_per_minute=tenant.tokens_per_minute,
                ),
            }
            for tenant in spec.tenants
        ],
    }
    if spec.peers:
        config["peers"] = {"listen": spec.peers.listen, "others": list(spec.peers.others), "key": spec.peers.key}
    return {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilterPerRoute",
        "dynamic_module_config": MODULE,
        "filter_name": FILTER,
        "filter_config": {"@type": "type.googleapis.com/google.protobuf.Struct", "value": config},
    }


def _given(**fields: object) -> Json:
    return {name: value for name, value in fields.items() if value is not None}


def _module_model(model: Model) -> Json:
    return {
        "name": model.name,
        "task": str(model.task),
        "openai": list(model.openai),
        "native": list(model.native),
        "picks": model.routing.policy is Policy.ESTIMATED_TTFT,
        "fallback": list(model.fallback),
        "canary": model.canary_percent > 0,
        **_times(model.timeouts, model.hold.seconds),
        "hold_ms": round(model.hold.seconds * 1000),
        "hold_requests": model.hold.requests,
        "caps": asdict(model.caps),
        "meter_streams": True,
        **_given(default_tokens=model.tokens.default, most_tokens=model.tokens.most),
    }


def _module_provider(provider: Provider) -> Json:
    matched = URL.fullmatch(provider.url)
    path = (matched[4] or "") if matched else ""
    return {
        "name": provider.name,
        **_times(provider.timeouts),
        "meter_streams": True,
        "provider": {"model": provider.model, "path": path.rstrip("/"), "key": provider.key},
    }


def _idle_seconds(timeouts: Timeouts, hold_seconds: float = 0.0) -> float:
    """Envoy's limit of silence, which knows no stages; the module keeps the shorter ones, for streams."""
    return max(timeouts.first_token, timeouts.idle, hold_seconds + 1 if hold_seconds else 0)


def _times(timeouts: Timeouts, hold_seconds: float = 0.0) -> Json:
    return {
        "first_token_ms": round(timeouts.first_token * 1000),
        "idle_ms": round(timeouts.idle * 1000),
        "stream_ms": round(timeouts.stream * 1000),
        "envoy_idle_ms": round(_idle_seconds(timeouts, hold_seconds) * 1000),
    }


def _routes(spec: GatewaySpec, model: Model) -> Iterator[Json]:
    """With a canary there are two: the module asks for the old revision by name when the new one has no backend."""
    if model.canary_percent:
        yield _route(spec, model, {"cluster": model.name}, stable=True)
        new = round(model.canary_percent * 100)
        weights = ((model.name, 10_000 - new), (model.canary, new))
        clusters = [{"name": name, "weight": weight} for name, weight in weights]
        yield _route(spec, model, {"weighted_clusters": {"clusters": clusters}})
    else:
        yield _route(spec, model, {"cluster": model.name})


def _route(spec: GatewaySpec, model: Model, target: Json, *, stable: bool = False) -> Json:
    action: Json = {
        **target,
        "timeout": "0s",  # it would cut streams; the module limits their whole length
        "idle_timeout": seconds(_idle_seconds(model.timeouts, model.hold.seconds)),
    }
    if model.retries.attempts:
        action["retry_policy"] = _retries(model)
    if model.routing.policy is Policy.CONSISTENT_HASH:
        action["hash_policy"] = _hash(model)
    if model.shadow_percent:
        share = {"numerator": round(model.shadow_percent * 10_000), "denominator": "MILLION"}
        action["request_mirror_policies"] = [{"cluster": model.shadow, "runtime_fraction": {"default_value": share}}]
    return {
        "name": model.name,
        "match": _match(model.name, {REVISION_HEADER: "stable"} if stable else {}),
        "request_body_buffer_limit": spec.max_body_bytes + _SLACK_BYTES,
        "route": action,
    }


def _match(model: str, headers: Mapping[str, str]) -> Json:
    exact = {MODEL_HEADER: model, **headers}
    return {"prefix": "/", "headers": [{"name": k, "string_match": {"exact": v}} for k, v in exact.items()]}


def _provider_route(spec: GatewaySpec, provider: Provider) -> Json:
    matched = URL.fullmatch(provider.url)
    return {
        "name": provider.name,
        "match": _match(provider.name, {}),
        "request_body_buffer_limit": spec.max_body_bytes + _SLACK_BYTES,
        "request_headers_to_remove": [MODEL_HEADER, REVISION_HEADER],
        "route": {
            "cluster": provider.name,
            "host_rewrite_literal": matched[2] if matched else "",
            "timeout": "0s",
            "idle_timeout": seconds(_idle_seconds(provider.timeouts)),
        },
    }


def _retries(model: Model) -> Json:
    retries: Json = {
        # All before the first byte of an answer. 503: a server that drains or has just lost its shards; not 429, or a
        # full model would be asked three times.
        "retry_on": "connect-failure,refused-stream,reset-before-request,reset,retriable-status-codes",
        "retriable_status_codes": [503],
        "num_retries": model.retries.attempts,
        "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
    }
    if model.routing.policy is not Policy.ESTIMATED_TTFT:  # the module remembers what it has tried itself
        previous = "retry.host.previous_hosts.v3.PreviousHostsPredicate"
        retries["retry_host_predicate"] = [extension("envoy.retry_host_predicates.previous_hosts", previous)]
        retries["host_selection_retry_max_attempts"] = 3
    return retries


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
