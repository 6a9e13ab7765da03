"""Engine limits that follow from what a stack asks."""

from infra.planning.errors import Problem, problem
from infra.planning.request import ModelRequest
from infra.planning.shapes import Task
from serving.engines.base import Limits

_QUEUE_FACTOR = 2
"""Requests that may wait, over those that run: enough to see backpressure before 429s, short enough to keep moving."""
_LEAST_QUEUE = 16


def engine_limits(request: ModelRequest, batch_prefill_tokens: int | None = None) -> Limits:
    """Return limits of one replica. A prompt may take all of the context but one token."""
    generates = request.shape.task is Task.GENERATE
    return Limits(
        max_input_tokens=request.context - 1 if generates else request.context,
        max_total_tokens=request.context,
        max_concurrent_requests=request.concurrency,
        max_queued_requests=max(_LEAST_QUEUE, _QUEUE_FACTOR * request.concurrency),
        max_batch_prefill_tokens=batch_prefill_tokens,
    )


def check_context(request: ModelRequest) -> list[Problem]:
    """Return what is wrong with the asked lengths: beyond the model's, or no room for the answer."""
    problems = []
    longest = request.shape.context
    if longest and request.context > longest:
        problems.append(
            problem(
                f"{request.place}.context", request.context,
                f"is {request.context - longest} tokens more than the model was made for ({longest})",
                f"set {longest} or less",
            )
        )  # fmt: skip
    if request.max_output_tokens is not None and request.max_output_tokens >= request.context:
        problems.append(
            problem(
                f"{request.place}.max_output_tokens", request.max_output_tokens,
                f"leaves no room for a prompt in a context of {request.context}",
                f"set {request.context // 2} or less",
            )
        )  # fmt: skip
    return problems
