"""The local engine: serving.local_engine on CPU, speaking TGI's protocol for text and TEI's for vectors."""

import sys
from collections.abc import Iterable, Mapping
from typing import ClassVar

from serving.engines.base import (
    Api,
    Container,
    Drain,
    Engine,
    Option,
    Probes,
    Replica,
    Route,
    Task,
)
from serving.engines.checks import number
from serving.engines.metrics import MetricNames
from serving.engines.tgi import GENERATE_ROUTES

_ENGINE_SECONDS = 30


class LocalEngine(Engine):
    """A process per replica, on this machine or in a container of the kit's own image; no GPU."""

    name = "local"
    tasks = frozenset({Task.GENERATE, Task.EMBED})
    options: ClassVar[Mapping[str, Option]] = {
        "workers": Option("decoding threads, one core each", number(1, 64)),
        "token-delay-ms": Option(
            "pause before every token, to make queues and drains visible", number(0, 60_000, whole=False)
        ),
        "max-client-batch-size": Option("inputs in one request", number(1, 1024)),
        "prompt-token-delay-ms": Option("pause per prompt token that is not cached", number(0, 1_000, whole=False)),
        "prefix-cache-tokens": Option("prompt tokens kept in the prefix cache; 0 turns it off", number(0, 1_000_000)),
    }
    managed: ClassVar[Mapping[str, str]] = {
        "model-id": "it is the model's name in the stack file",
        "weights": "set source",
        "host": "replicas listen on 127.0.0.1, and in pods on all addresses",
        "port": "set local.ports; in pods it is 8080",
        "max-input-tokens": "set context and max_output_tokens",
        "max-total-tokens": "set context",
        "max-concurrent-requests": "set concurrency",
        "max-queued-requests": "set concurrency",
        "drain-seconds": "the platform waits as long as the engine drains",
    }

    def command(self, replica: Replica) -> tuple[str, ...]:
        """The whole argv, starting with this Python."""
        return (sys.executable, *self._arguments(replica))

    def container_command(self, replica: Replica) -> tuple[str, ...]:
        """The whole argv, starting with the image's Python, listening on all addresses of the pod."""
        return ("python", *self._arguments(replica), "--host", "0.0.0.0")  # noqa: S104 - a pod's own addresses

    def _arguments(self, replica: Replica) -> tuple[str, ...]:
        self.check(replica)
        limits = replica.limits
        flags: dict[str, str] = {
            "model-id": replica.model,
            "weights": replica.weights,
            "port": str(replica.port),
            "max-input-tokens": str(limits.max_input_tokens),
            "max-total-tokens": str(limits.max_total_tokens),
            "max-concurrent-requests": str(limits.max_concurrent_requests),
            "max-queued-requests": str(limits.max_queued_requests),
            "drain-seconds": str(_ENGINE_SECONDS),
        }
        flags |= dict(sorted(replica.options.items()))
        return (
            "-m",
            "serving.local_engine",
            *(part for name, value in flags.items() for part in (f"--{name}", value)),
        )

    def _impossible(self, replica: Replica) -> Iterable[str]:
        if replica.shards > 1:
            yield f"shards is {replica.shards}; the local engine runs a model in one process, so it must be 1"

    def env(self, replica: Replica) -> dict[str, str]:
        """One thread per worker: OpenMP teams stall in barriers on shared cores."""
        self.check(replica)
        return {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}

    def image(self, capability: float | None) -> str:  # noqa: ARG002 - it runs on the CPU of any node
        """One image for all nodes."""
        return "local"

    @property
    def container(self) -> Container:
        """Python writes no caches; libraries may want a home."""
        return Container(
            writable=("/tmp",),  # noqa: S108 - the pod's own
            env={"HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"},  # noqa: S108
        )

    @property
    def probes(self) -> Probes:
        """Ready in about two seconds; a machine under load may take ten times as long."""
        return Probes(path="/health", startup_seconds=60, period_seconds=2, timeout_seconds=2, failures=3)

    @property
    def drain(self) -> Drain:
        """On SIGTERM the listener closes at once, so discovery must have moved on before."""
        return Drain(prestop_seconds=2, signal="TERM", engine_seconds=_ENGINE_SECONDS, grace_seconds=40)

    def metrics(self, task: Task) -> MetricNames:
        """TGI's or TEI's names, and `local_` ones for what those engines do not export."""
        if task is Task.GENERATE:
            return MetricNames(
                path="/metrics",
                running="tgi_batch_current_size",
                waiting="tgi_queue_size",
                success="tgi_request_success",
                failure="tgi_request_failure",
                failure_label="err",
                client_failures=("validation", "template", "dropped"),
                overload_failures=("overloaded",),
                duration="tgi_request_duration",
                queue_duration="tgi_request_queue_duration",
                input_tokens="tgi_request_input_length",
                generated_tokens="tgi_request_generated_tokens",
                itl="tgi_request_mean_time_per_token_duration",
                ttft="local_time_to_first_token_seconds",
                cached_prompt_tokens="local_prompt_tokens_cached",
            )
        return MetricNames(
            path="/metrics",
            running="local_batch_current_size",
            waiting="te_queue_size",
            success="te_request_success",
            failure="te_request_failure",
            failure_label="err",
            client_failures=("tokenization", "validation", "empty", "batch_size", "dropped"),
            overload_failures=("overloaded",),
            duration="te_request_duration",
            queue_duration="te_request_queue_duration",
            input_tokens="te_request_input_length",
            generated_tokens=None,
            itl=None,
            ttft=None,
            cached_prompt_tokens=None,
        )

    def routes(self, task: Task) -> tuple[Route, ...]:
        """`POST /` is what huggingface_hub's InferenceClient calls."""
        if task is Task.GENERATE:
            return GENERATE_ROUTES
        return (
            Route("POST", "/v1/embeddings", Api.OPENAI),
            Route("POST", "/", Api.NATIVE),
            Route("POST", "/embed", Api.NATIVE),
            Route("POST", "/v1/embeddings", Api.NATIVE),
            Route("GET", "/info", Api.NATIVE),
            Route("GET", "/health", Api.NATIVE),
        )
