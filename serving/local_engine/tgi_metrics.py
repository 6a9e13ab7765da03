"""TGI's metrics by their names, types, labels and buckets (router/src/server.rs), and `local_` ones that it lacks."""

from collections.abc import Callable, Sequence

from serving.local_engine.generation import Generation
from serving.local_engine.metrics import Counter, Gauge, Histogram, Metric, geometric, linear

DURATIONS = geometric(0.00015, 1.5, 35)
"""Seconds: 0.0001 * 1.5^k for k = 1 … 35, up to 145.6."""
_FAILURES = ("overloaded", "validation", "template", "incomplete", "generation", "dropped")


class TgiMetrics:
    """What GET /metrics of a generating server shows.

    Unlike TGI's, counters exist from the start at zero.
    """

    def __init__(
        self,
        *,
        max_input_tokens: int,
        max_total_tokens: int,
        max_batch_size: int,
        waiting: Callable[[], Sequence[Generation]],
        running: Callable[[], Sequence[Generation]],
        held_tokens: Callable[[], int],
    ) -> None:
        self.count = Counter("tgi_request_count", "Total number of requests")
        self.success = Counter("tgi_request_success", "Number of successful requests")
        self.failure = Counter(
            "tgi_request_failure", "Number of failed requests", ("err",), [(reason,) for reason in _FAILURES]
        )
        self.duration = _seconds("tgi_request_duration", "Total time spent processing the request")
        self.validation = _seconds("tgi_request_validation_duration", "Time spent validating the request")
        self.queue = _seconds("tgi_request_queue_duration", "Time spent in the queue per request")
        self.inference = _seconds("tgi_request_inference_duration", "Request inference duration")
        self.per_token = _seconds("tgi_request_mean_time_per_token_duration", "Mean time per token per request")
        self.input = Histogram("tgi_request_input_length", "Input token length per request", linear(max_input_tokens))
        self.generated = Histogram(
            "tgi_request_generated_tokens", "Generated tokens per request", linear(max_total_tokens)
        )
        self.max_new = Histogram(
            "tgi_request_max_new_tokens", "Maximum new tokens per request", linear(max_total_tokens)
        )
        self.prompt_tokens = Counter("local_prompt_tokens", "Prompt tokens of started requests")
        self.cached_tokens = Counter("local_prompt_tokens_cached", "Prompt tokens whose prefill the prefix cache saved")
        self.first_token = _seconds(
            "local_time_to_first_token_seconds", "From the arrival of a request to its first token"
        )
        self._batch_size = Histogram(
            "tgi_batch_next_size", "Batch size of the next batch", linear(max_batch_size, max_batch_size)
        )
        self._passes = Counter("tgi_batch_inference_count", "Inference calls per method", ("method",), _METHODS)
        self._passed = Counter(
            "tgi_batch_inference_success", "Successful inference calls per method", ("method",), _METHODS
        )
        self._pass = _seconds("tgi_batch_inference_duration", "Batch inference duration", ("method",))
        self.all: tuple[Metric, ...] = (
            *(self.count, self.success, self.failure, self.duration, self.validation, self.queue, self.inference),
            *(self.per_token, self.input, self.generated, self.max_new),
            Gauge("tgi_queue_size", "Current queue size", lambda: len(waiting())),
            Gauge("tgi_batch_current_size", "Current batch size", lambda: len(running())),
            Gauge(
                "tgi_batch_current_max_tokens",
                "Maximum tokens for the current batch",
                lambda: sum(len(job.prompt) + job.max_new_tokens for job in running()),
            ),
            *(self._batch_size, self._passes, self._passed, self._pass),
            *(self.prompt_tokens, self.cached_tokens, self.first_token),
            Gauge("local_prefix_cache_tokens", "Prompt tokens that the prefix cache holds", held_tokens),
        )

    def observe_batch(self, batch: Sequence[Generation]) -> None:
        """A batch has run. CTranslate2 reports no single passes: decode passes count as equally long within a batch."""
        self._batch_size.observe(len(batch))
        self._passes.add("prefill")
        firsts = [job.first_at for job in batch if job.first_at is not None]
        started = batch[0].started_at
        if not firsts or started is None or not any(job.generated for job in batch):
            return
        self._passed.add("prefill")
        self._pass.observe(min(firsts) - started, "prefill")
        steps = max(job.generated for job in batch) - 1
        if steps > 0:
            took = max(job.last_at or 0.0 for job in batch) - min(firsts)
            self._passes.add("decode", amount=steps)
            self._passed.add("decode", amount=steps)
            self._pass.observe(took / steps, "decode", times=steps)
        self.prompt_tokens.add(amount=sum(len(job.prompt) for job in batch))
        self.cached_tokens.add(amount=sum(job.cached_tokens for job in batch))


_METHODS = (("prefill",), ("decode",))


def _seconds(name: str, help_text: str, labels: Sequence[str] = ()) -> Histogram:
    return Histogram(name, help_text, DURATIONS, labels)
