"""PromQL of the signals that replicas follow.

Each answers with one number, for any count of gateways and replicas; with 0 when a model has no replica and no request;
and with nothing when what it needs is not scraped, since a scaler must not take silence for an empty house.
A target that is still known but cannot be scraped counts with its last values, for an hour. One that is gone (the pod
was deleted) does not count.

Gateways' series carry the label `model` themselves; those of the engines, and their `up`, get it from the scrape's
configuration.
"""

import json
from collections.abc import Mapping
from types import MappingProxyType

_REQUESTS = "envoy_berth_requests_(in_flight|held)"
"""Gauges of the picker (serving/gateway/picker/src/stats.rs): passed on and not ended; waiting for a replica. Each
gateway has both for every model from its start, whether the model has replicas or not."""
_SENT = "envoy_cluster_upstream_rq_total"
"""Counter of Envoy, for each cluster, from its start: requests sent to a replica."""
_MEMORY = "1h"
_RECENT = "5m"
"""Several scrapes, so that a counter is seen to rise."""
_NONE: Mapping[str, str] = MappingProxyType({})


def demand(model: str, matchers: Mapping[str, str] = _NONE) -> str:
    """Requests at all gateways, in flight or held. Nothing when no gateway is scraped."""
    requests = _series({"model": model, **matchers}, f"__name__=~{_quoted(_REQUESTS)}")
    return f"{_sum(requests)} and sum({requests})"


def queue(model: str, metric: str, matchers: Mapping[str, str] = _NONE) -> str:
    """Requests in the engines' queues; `metric` is the engine's gauge.

    Nothing when replicas that were scraped are scraped no more, and no other is. Replicas that load have no queue.
    """
    labels = {"model": model, **matchers}
    waiting, up = f"{metric}{_series(labels)}", f"up{_series(labels)}"
    gateways = _series(labels, f"__name__=~{_quoted(_REQUESTS)}")
    # Some engines have no gauge before their first request.
    scraped = f"0 * count({up} == 1)"
    none = f"0 * sum({gateways}) unless count({up} and max_over_time({up}[{_MEMORY}]) == 1)"
    return f"({_sum(waiting)} and sum({waiting})) or {scraped} or ({none})"


def activity(model: str, matchers: Mapping[str, str] = _NONE) -> str:
    """Requests sent to replicas lately: more than 0 keeps the last one, also when each ends between two scrapes."""
    clusters = f"envoy_cluster_name=~{_quoted(f'{model}([.]canary)?')}"
    return f"sum(increase({_SENT}{_series(matchers, clusters)}[{_RECENT}]))"


def _sum(series: str) -> str:
    return f"sum({series} or last_over_time({series}[{_MEMORY}]) and on (job, instance) up == 0)"


def _series(labels: Mapping[str, str], *more: str) -> str:
    return "{" + ", ".join([*more, *(f"{name}={_quoted(value)}" for name, value in labels.items())]) + "}"


def _quoted(text: str) -> str:
    # PromQL's escapes in double quotes are Go's, of which JSON's are a part.
    return json.dumps(text, ensure_ascii=False)
