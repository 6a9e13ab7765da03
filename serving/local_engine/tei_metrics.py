"""TEI's metrics by their names, types, labels and buckets (text-embeddings-inference, router/ and core/)."""

from collections.abc import Callable, Sequence

from serving.local_engine.embedding import Embedding
from serving.local_engine.metrics import Counter, Gauge, Histogram, Metric, geometric

_DURATIONS = geometric(1.5e-5, 1.5, 35)
"""Seconds: 0.00001 * 1.5^k for k = 1 … 35, up to 14.56."""
_METHODS = (("single",), ("batch",))
_FAILURES = ("overloaded", "tokenization", "validation", "batch_size", "inference", "dropped")


class TeiMetrics:
    """What GET /metrics of an embedding server shows. Unlike TEI's, counters exist from the start at zero."""

    def __init__(
        self, *, waiting: Callable[[], Sequence[Embedding]], running: Callable[[], Sequence[Embedding]]
    ) -> None:
        self.count = Counter("te_request_count", "Total number of requests", ("method",), _METHODS)
        self.success = Counter("te_request_success", "Successful requests", ("method",), _METHODS)
        self.failure = Counter("te_request_failure", "Failed requests", ("err",), [(reason,) for reason in _FAILURES])
        self.embeds = Counter("te_embed_count", "Inputs to embed")
        self.embedded = Counter("te_embed_success", "Embedded inputs")
        self.duration = _seconds("te_request_duration", "Request duration")
        self.tokenization = _seconds("te_request_tokenization_duration", "Tokenization duration per request")
        self.queue = _seconds("te_request_queue_duration", "Queue duration per request")
        self.inference = _seconds("te_request_inference_duration", "Inference duration per request")
        self.input = Histogram("te_request_input_length", "Input length per request", geometric(2, 2, 15))
        self._batch_size = Histogram("te_batch_next_size", "Requests in a batch", geometric(1, 2, 13))
        self._batch_tokens = Histogram("te_batch_next_tokens", "Tokens in a batch", geometric(1, 2, 21))
        self.all: tuple[Metric, ...] = (
            *(self.count, self.success, self.failure, self.embeds, self.embedded),
            *(self.duration, self.tokenization, self.queue, self.inference, self.input),
            *(self._batch_size, self._batch_tokens),
            Gauge("te_queue_size", "Current queue size", lambda: len(waiting())),
            Gauge("local_batch_current_size", "Current batch size", lambda: len(running())),
        )

    def observe_batch(self, batch: Sequence[Embedding]) -> None:
        """A batch has run."""
        self._batch_size.observe(sum(len(job.inputs) for job in batch))
        self._batch_tokens.observe(sum(job.tokens for job in batch))


def _seconds(name: str, help_text: str) -> Histogram:
    return Histogram(name, help_text, _DURATIONS)
