"""One cluster a model: where its backends come from, how they are checked, chosen and protected."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from serving.gateway.care import Dns, Timeouts
from serving.gateway.envoy import BUFFER_BYTES, FILTER, MODULE, Json, extension, seconds, socket_address
from serving.gateway.model import Model
from serving.gateway.provider import URL, Provider
from serving.gateway.routing import Policy
from serving.gateway.spec import GatewaySpec

AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
"""Where Debian and the images of the kit keep the certificates of the authorities."""
_POLICIES = "load_balancing_policies"


def clusters(spec: GatewaySpec, source: Callable[[str], Json]) -> list[Json]:
    """All clusters; `source` gives the endpoints of a name in the registry."""
    found = []
    for model in spec.models:
        if model.dns:
            found.append(_cluster(model, model.name, resolved(model.name, model.dns)))
        found += [_cluster(model, name, source(name)) for name in model.backends]
    return found + [_provider(provider) for provider in spec.providers]


def _cluster(model: Model, name: str, source: Json) -> Json:
    return {
        "name": name,
        # Who leaves discovery gets no new requests, healthy or not. A DNS answer without addresses is another matter
        # (see resolved).
        "ignore_health_on_host_removal": True,
        **source,
        **_connections(model.timeouts),
        "load_balancing_policy": {"policies": [{"typed_extension_config": _policy(model)}]},
        "common_lb_config": {
            # Otherwise Envoy sends to dead backends as soon as half of them are dead.
            "healthy_panic_threshold": {"value": 0},
            # Otherwise workers hear of a change of health up to a second later.
            "update_merge_window": "0s",
        },
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_connections": model.max_requests,
                    "max_pending_requests": model.max_requests,
                    "max_requests": model.max_requests,
                    "retry_budget": {
                        "budget_percent": {"value": model.retries.budget_percent},
                        "min_retry_concurrency": 3,
                    },
                }
            ]
        },
        "health_checks": [_health_check(model)],
        "outlier_detection": _outliers(),
    }


def _connections(timeouts: Timeouts) -> Json:
    return {
        "connect_timeout": seconds(timeouts.connect),
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http_protocol_options": {}},
                # Below the keep-alive of the servers, so that the gateway closes first.
                "common_http_protocol_options": {"idle_timeout": "50s"},
            }
        },
    }


def _provider(provider: Provider) -> Json:
    """A remote service: no health checks of ours, its certificate checked against the system's authorities."""
    matched = URL.fullmatch(provider.url)
    scheme, host, port = (matched[1], matched[2], matched[3]) if matched else ("https", "", None)
    made: Json = {
        "name": provider.name,
        "type": "LOGICAL_DNS",
        "dns_lookup_family": "V4_PREFERRED",
        "load_assignment": _hosts(provider.name, host, int(port) if port else (443 if scheme == "https" else 80)),
        **_connections(provider.timeouts),
    }
    if scheme == "https":
        context = {
            "sni": host,
            "common_tls_context": {
                "validation_context": {
                    "trusted_ca": {"filename": AUTHORITIES},
                    "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": host}}],
                }
            },
        }
        made["transport_socket"] = extension(
            "envoy.transport_sockets.tls", "transport_sockets.tls.v3.UpstreamTlsContext", **context
        )
    return made


def resolved(name: str, dns: Dns, metadata: Mapping[str, float | int | str] = MappingProxyType({})) -> Json:
    """Endpoints from the addresses of a name, each with the same metadata (see `Backend.metadata`)."""
    assignment = _hosts(name, dns.name, dns.port)
    if metadata:
        assignment["endpoints"][0]["lb_endpoints"][0]["metadata"] = {"filter_metadata": {FILTER: dict(metadata)}}
    found: Json = {
        "dns_lookup_family": "V4_PREFERRED",
        "dns_refresh_rate": seconds(dns.refresh),
        "respect_dns_ttl": False,
    }
    if dns.resolvers:
        addresses = [address.rsplit(":", 1) for address in dns.resolvers]
        found["typed_dns_resolver_config"] = extension(
            "envoy.network.dns_resolver.cares",
            "network.dns_resolver.cares.v3.CaresDnsResolverConfig",
            resolvers=[socket_address(host, int(port)) for host, port in addresses],
            dns_resolver_options={"no_default_search_domain": True},
        )
    return {
        "cluster_type": extension("envoy.cluster.dns", "clusters.dns.v3.DnsCluster", **found),
        # An answer without addresses does not empty the set: backends stay until they fail their health checks.
        "ignore_health_on_host_removal": False,
        "load_assignment": assignment,
    }


def _hosts(name: str, host: str, port: int) -> Json:
    return {
        "cluster_name": name,
        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket_address(host, port)}}]}],
    }


def eds(name: str, directory: Path) -> Json:
    """Endpoints from the file eds/<name>.json in `directory`."""
    folder = directory / "eds"
    source = {"path": str(folder / f"{name}.json"), "watched_directory": {"path": str(folder)}}
    config = {"path_config_source": source, "resource_api_version": "V3"}
    return {"type": "EDS", "eds_cluster_config": {"service_name": name, "eds_config": config}}


def _policy(model: Model) -> Json:
    match model.routing.policy:
        case Policy.ESTIMATED_TTFT:
            return extension(
                FILTER,
                f"{_POLICIES}.dynamic_modules.v3.DynamicModulesLoadBalancerConfig",
                dynamic_module_config=MODULE,
                lb_policy_name="estimated_ttft",
            )
        case Policy.ROUND_ROBIN | Policy.WEIGHTED:
            return extension("envoy.load_balancing_policies.round_robin", f"{_POLICIES}.round_robin.v3.RoundRobin")
        case Policy.LEAST_REQUEST:
            return extension(
                "envoy.load_balancing_policies.least_request",
                f"{_POLICIES}.least_request.v3.LeastRequest",
                selection_method="FULL_SCAN",
            )
        case Policy.CONSISTENT_HASH:
            bound = model.routing.bounded_load
            common = {"hash_balance_factor": round(bound * 100)} if bound else {}
            return extension(
                "envoy.load_balancing_policies.ring_hash",
                f"{_POLICIES}.ring_hash.v3.RingHash",
                consistent_hashing_lb_config=common,
            )


def _health_check(model: Model) -> Json:
    health = model.health
    return {
        "timeout": seconds(health.timeout),
        "interval": seconds(health.interval),
        "no_traffic_interval": seconds(health.interval),
        "unhealthy_interval": seconds(health.interval / 2),
        "unhealthy_threshold": health.unhealthy_after,
        "healthy_threshold": 1,
        "http_health_check": {"path": health.path},
    }


def _outliers() -> Json:
    """Ejects backends that connections fail on. Not for 5xx: one poisonous prompt could eject them all."""
    return {
        "split_external_local_origin_errors": True,
        "consecutive_local_origin_failure": 2,
        "enforcing_consecutive_local_origin_failure": 100,
        "enforcing_consecutive_5xx": 0,
        "consecutive_gateway_failure": 5,
        "enforcing_consecutive_gateway_failure": 100,
        "enforcing_success_rate": 0,
        "enforcing_local_origin_success_rate": 0,
        "interval": "1s",
        "base_ejection_time": "5s",
        "max_ejection_time": "30s",
        "max_ejection_percent": 50,
    }
