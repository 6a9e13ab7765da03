"""What each part of berth's configuration costs: everything on, one part off at a time.

For the makers of the gateway, when a request has become dearer.
"""

from collections.abc import Callable
from pathlib import Path

from serving.gateway.envoy import FILTER, Json, extension
from tests.bench.gateway import berth, catalogue, cost, instructions
from tests.bench.gateway.berth import Files
from tests.bench.gateway.catalogue import Contender
from tests.bench.gateway.report import Report

MODULE_ROWS = 30


def _manager(files: Files) -> Json:
    config: Json = files["lds.json"]["resources"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    return config


def _routes(files: Files) -> list[Json]:
    return [r for host in files["rds.json"]["resources"][0]["virtual_hosts"] for r in host["routes"] if "route" in r]


def _clusters(files: Files) -> list[Json]:
    clusters: list[Json] = files["cds.json"]["resources"]
    return clusters


def _thresholds(files: Files) -> list[Json]:
    return [t for c in _clusters(files) for t in c["circuit_breakers"]["thresholds"]]


def _drop(part: Callable[[Files], Json | list[Json]], *keys: str) -> Callable[[Files], None]:
    def tweak(files: Files) -> None:
        found = part(files)
        for item in found if isinstance(found, list) else [found]:
            for key in keys:
                item.pop(key, None)

    return tweak


def _filter_off(name: str) -> Callable[[Files], None]:
    def tweak(files: Files) -> None:
        manager = _manager(files)
        manager["http_filters"] = [f for f in manager["http_filters"] if f["name"] != name]

    return tweak


def _module_off(files: Files) -> None:
    """No module at all: one route to the model's cluster, in turn."""
    _filter_off(FILTER)(files)
    _round_robin(files)
    for host in files["rds.json"]["resources"][0]["virtual_hosts"]:
        host.pop("typed_per_filter_config", None)
        for route in host["routes"]:
            route["match"].pop("headers", None)


def _round_robin(files: Files) -> None:
    policy = extension("envoy.load_balancing_policies.round_robin", "load_balancing_policies.round_robin.v3.RoundRobin")
    for cluster in _clusters(files):
        cluster["load_balancing_policy"] = {"policies": [{"typed_extension_config": policy}]}


TWEAKS: dict[str, Callable[[Files], None]] = {
    "access log": _drop(_manager, "access_log"),
    "retries": _drop(lambda f: [r["route"] for r in _routes(f)], "retry_policy"),
    "idle and stream timeouts of routes": _drop(
        lambda f: [r["route"] for r in _routes(f)], "idle_timeout", "max_stream_duration"
    ),
    "timeouts of the listener": _drop(
        _manager, "request_headers_timeout", "request_timeout", "stream_idle_timeout", "common_http_protocol_options"
    ),
    "path normalisation": _drop(
        _manager, "normalize_path", "merge_slashes", "path_with_escaped_slashes_action", "strip_matching_host_port"
    ),
    "local replies": _drop(_manager, "local_reply_config"),
    "health filter": _filter_off("envoy.filters.http.health_check"),
    "health checks and ejection": _drop(_clusters, "health_checks", "outlier_detection"),
    "retry budget": _drop(_thresholds, "retry_budget", "track_remaining"),
    "overload manager": _drop(lambda f: f["bootstrap.json"], "overload_manager"),
    "picking (round robin instead)": _round_robin,
    "the module (keys, models, picking)": _module_off,
}


def report() -> Report:
    """Measures and reports."""
    everything = Contender("everything", berth.variant(), "")
    contenders = [
        everything,
        *(Contender(f"- {name}", berth.variant(tweak=tweak), "") for name, tweak in TWEAKS.items()),
        catalogue.PLAIN,
    ]
    result = Report(
        "ablation",
        "What costs what",
        "berth with one part of its configuration off at a time: instructions per request in user space, and misses of "
        "the first cache for code and of the branch predictor, which cost more time than most instructions; counted by "
        f"callgrind over {instructions.COUNTED} requests on one connection.",
    )
    for size in cost.SIZES:
        counts = {c.name: instructions.count(c, size, Path("build/bench/run/ablation")) for c in contenders}
        base = counts[everything.name]
        result.table(
            f"Bodies of {size:,} bytes",
            [
                {
                    "configuration": name,
                    "instructions": f"{c.total:,.0f}",
                    "difference": f"{c.total - base.total:+,.0f}",
                    "code misses": f"{c.code_misses:,.0f}",
                    "mispredicted": f"{c.mispredicted:,.0f}",
                }
                for name, c in counts.items()
            ],
        )
        module = sorted(counts[everything.name].module.items(), key=lambda item: -item[1])[:MODULE_ROWS]
        result.table(
            f"In the module at {size:,} bytes, with all that is called",
            [{"function": name, "instructions": f"{value:,.0f}"} for name, value in module],
        )
    return result
