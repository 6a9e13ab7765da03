"""Names of an engine's metrics by their role."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MetricNames:
    """Metric names by role, for rules, dashboards and autoscaling. None: this engine does not export it."""

    path: str
    running: str | None
    """Gauge: requests in the running batch."""
    waiting: str
    """Gauge: requests in the engine's queue."""
    success: str
    """Counter: finished requests."""
    failure: str
    """Counter by `failure_label`."""
    failure_label: str
    client_failures: tuple[str, ...]
    """Values of `failure_label` that are the client's doing; they never burn an error budget."""
    overload_failures: tuple[str, ...]
    """Values of `failure_label` that mean: too few replicas. Empty where `overload` counts them."""
    duration: str
    """Histogram, seconds: arrival to last token, successes only."""
    queue_duration: str
    """Histogram, seconds."""
    input_tokens: str
    """Histogram, tokens a request; `_sum` is the counter of prompt tokens."""
    generated_tokens: str | None
    """Histogram, tokens a request."""
    itl: str | None
    """Histogram, seconds: mean of one request."""
    ttft: str | None
    """Histogram, seconds."""
    cached_prompt_tokens: str | None
    """Counter: prompt tokens whose prefill was saved by the prefix cache."""
    success_values: tuple[str, ...] = ()
    """Values of `failure_label` that are successes, where success and failure are one counter. Empty: they are two."""
    failure_values: tuple[str, ...] = ()
    """Values of `failure_label` that burn an error budget, where success and failure are one counter."""
    overload: str | None = None
    """Counter: requests refused because the replica was full, where `failure` does not count them."""
    kv_usage: str | None = None
    """Gauge: share of the KV cache in use, 0 to 1."""
    preemptions: str | None = None
    """Counter: running requests that lost their KV cache to others and start again."""
