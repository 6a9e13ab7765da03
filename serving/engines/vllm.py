"""vLLM's OpenAI server: https://github.com/vllm-project/vllm, release 0.32.

Flags are those of vllm/engine/arg_utils.py and vllm/entrypoints/launchers/cli_args.py; what is said of overload,
drains, statuses and metrics was tried on a running server.
"""

from collections.abc import Iterable, Iterator

from serving.engines.base import (
    Api,
    Container,
    Drain,
    Probes,
    Replica,
    Route,
    Task,
)
from serving.engines.checks import adapters
from serving.engines.gpu import TORCH_ENV, GpuEngine
from serving.engines.metrics import MetricNames
from serving.engines.vllm_options import FOREIGN, MANAGED, OPTIONS, SWITCH

_PRESTOP_SECONDS = 15
"""/health stays 200 after the signal and new requests get 500: routers must have moved on before it."""
_SHUTDOWN_SECONDS = 90
"""--shutdown-timeout. Its default, 0, cuts every open stream, some without an end that a client could see."""
_EXIT_SECONDS = 15
"""Workers and the API process go after the last request."""
MEMORY_SHARE = "0.9"
"""Of a GPU's memory, as plans count on; vLLM's own default moves with its releases."""

_ON_LOAD = ("fp8",)
"""Quantisations done at load. The others are written in the checkpoint, where vLLM finds the fastest kernel for them; a
flag would pin the slow one (`awq` instead of `awq_marlin`). Releases before 0.32 had bitsandbytes, too."""
_RENAMED = {("kv-cache-dtype", "fp8_e4m3fn"): "fp8_e4m3"}
"""TGI's words for what has another name here."""
_LEADER = ("--master-addr", "$(LWS_LEADER_ADDRESS)")


class VllmEngine(GpuEngine):
    """A container of the official image. Everything that vLLM takes as a flag goes by flag."""

    name = "vllm"
    tasks = frozenset({Task.GENERATE})
    options = OPTIONS
    managed = MANAGED
    foreign = FOREIGN

    def command(self, replica: Replica) -> tuple[str, ...]:
        """The whole argv, of the first node where a replica has several."""
        return self._argv(replica, ("--node-rank", "0"))

    def worker_command(self, replica: Replica) -> tuple[str, ...]:
        """The whole argv of a replica's other nodes: no HTTP server."""
        return self._argv(replica, ("--node-rank", "$(LWS_WORKER_INDEX)", "--headless"))

    def _argv(self, replica: Replica, node: tuple[str, ...]) -> tuple[str, ...]:
        self.check(replica)
        limits = replica.limits
        flags = {
            "disable-access-log-for-endpoints": "/health,/metrics",
            "gpu-memory-utilization": MEMORY_SHARE,
            "host": "0.0.0.0",  # noqa: S104 - a pod's own addresses
            "max-model-len": str(limits.max_total_tokens),
            # In flight altogether, running and waiting; beyond it vLLM answers 503. Without it the queue has no end.
            "max-num-queued-reqs": str(limits.max_concurrent_requests + limits.max_queued_requests),
            "max-num-seqs": str(limits.max_concurrent_requests),
            "port": str(replica.port),
            "served-model-name": replica.model,
            "shutdown-timeout": str(_SHUTDOWN_SECONDS),
            "tensor-parallel-size": str(replica.shards),
        }
        if limits.max_batch_prefill_tokens is not None:
            flags["max-num-batched-tokens"] = str(limits.max_batch_prefill_tokens)
        switches = ["disable-fastapi-docs", "enable-prompt-tokens-details"]
        for name, value in replica.options.items():
            if value in ("true", "false") and self.options[name].check is SWITCH:
                switches.append(name if value == "true" else f"no-{name}")
            elif name != "lora-adapters":
                flags |= _flag(name, value)
        return (
            *("vllm", "serve", replica.weights),
            *(part for name, value in sorted(flags.items()) for part in (f"--{name}", value)),
            *(f"--{name}" for name in sorted(switches)),
            *_lora(replica.options.get("lora-adapters")),
            *(("--nnodes", str(replica.hosts), *_LEADER, *node) if replica.hosts > 1 else ()),
        )

    def env(self, replica: Replica) -> dict[str, str]:
        """Nothing is downloaded and nobody is told."""
        self.check(replica)
        return {
            "DO_NOT_TRACK": "1",
            "HF_HUB_OFFLINE": "1",
            "NO_COLOR": "1",
            "OTEL_SERVICE_NAME": replica.model,
            "TRANSFORMERS_OFFLINE": "1",
            "VLLM_NO_USAGE_STATS": "1",
            # The gateway has chosen the model. Where the path names it, the body may say anything, such as the "tgi"
            # of TGI's clients; TGI does not look at it either. Names of adapters still select them.
            "VLLM_SKIP_MODEL_NAME_VALIDATION": "1",
        }

    @property
    def container(self) -> Container:
        """Compiled graphs and kernels lie in /cache, sockets between its processes in /tmp."""
        return Container(
            env={
                **TORCH_ENV,
                "VLLM_CACHE_ROOT": "/cache/vllm",
                "VLLM_CONFIG_ROOT": "/cache/vllm-config",
                "XDG_CACHE_HOME": "/cache",
            },
            shm=True,
        )

    def _impossible(self, replica: Replica) -> Iterable[str]:
        """What vLLM would refuse after the image is pulled and the GPU is paid for."""
        limits, batch = replica.limits, replica.limits.max_batch_prefill_tokens
        yield from super()._impossible(replica)
        if batch is not None and batch < limits.max_concurrent_requests:
            yield (
                f"max_batch_prefill_tokens is {batch}; it must be at least max_concurrent_requests "
                f"({limits.max_concurrent_requests}): each running request takes a token of every pass"
            )
        whole = replica.options.get("enable-chunked-prefill") == "false"
        if whole and batch is not None and batch < limits.max_total_tokens:
            yield (
                f"max_batch_prefill_tokens is {batch}; without chunked prefill it must be at least max_total_tokens "
                f"({limits.max_total_tokens}), or the longest prompt fits no batch"
            )
        if replica.options.get("enable-auto-tool-choice") == "true" and "tool-call-parser" not in replica.options:
            yield "option 'enable-auto-tool-choice' needs 'tool-call-parser' beside it"

    def _spans_nodes(self) -> bool:
        return True

    @property
    def probes(self) -> Probes:
        """The port opens after profile run and CUDA graphs; /health then says whether the engine's process lives."""
        return Probes(path="/health", startup_seconds=1800, period_seconds=10, timeout_seconds=5, failures=6)

    @property
    def drain(self) -> Drain:
        """Wait, signal, open requests, workers."""
        return Drain(
            prestop_seconds=_PRESTOP_SECONDS,
            signal="TERM",
            engine_seconds=_SHUTDOWN_SECONDS,
            grace_seconds=_PRESTOP_SECONDS + _SHUTDOWN_SECONDS + _EXIT_SECONDS,
        )

    def metrics(self, task: Task) -> MetricNames:
        """All have labels `model_name` and `engine`; counters end in `_total`, and so does one histogram.

        A pattern on num_requests_waiting would also match num_requests_waiting_by_reason: match names exactly.
        """
        self._serves(task)
        return MetricNames(
            path="/metrics",
            running="vllm:num_requests_running",
            waiting="vllm:num_requests_waiting",
            success="vllm:request_success_total",
            failure="vllm:request_success_total",
            failure_label="finished_reason",
            client_failures=("abort",),
            overload_failures=(),
            duration="vllm:e2e_request_latency_seconds",
            queue_duration="vllm:request_queue_time_seconds",
            input_tokens="vllm:request_prompt_tokens",
            generated_tokens="vllm:request_generation_tokens",
            itl="vllm:request_time_per_output_token_seconds",
            ttft="vllm:time_to_first_token_seconds",
            cached_prompt_tokens="vllm:prompt_tokens_cached_total",
            success_values=("stop", "length", "repetition"),
            failure_values=("error",),
            overload="vllm:admission_rejections_total",
            kv_usage="vllm:kv_cache_usage_perc",
            preemptions="vllm:num_preemptions_total",
        )

    def routes(self, task: Task) -> tuple[Route, ...]:
        """Not /pause, /sleep, /load_lora_adapter, /invocations, /metrics, /docs: no key of vLLM's own guards all."""
        self._serves(task)
        return (
            Route("POST", "/v1/chat/completions", Api.OPENAI, stream=True),
            Route("POST", "/v1/completions", Api.OPENAI, stream=True),
            Route("POST", "/v1/chat/completions", Api.NATIVE, stream=True),
            Route("POST", "/v1/completions", Api.NATIVE, stream=True),
            Route("POST", "/tokenize", Api.NATIVE),
            Route("POST", "/detokenize", Api.NATIVE),
            Route("GET", "/v1/models", Api.NATIVE),
            Route("GET", "/version", Api.NATIVE),
            Route("GET", "/health", Api.NATIVE),
        )


def _flag(name: str, value: str) -> dict[str, str]:
    if name == "quantize":
        return {"quantization": value} if value in _ON_LOAD else {}
    return {name: _RENAMED.get((name, value), value)}


def _lora(value: str | None) -> Iterator[str]:
    if value:
        yield from ("--enable-lora", "--lora-modules", *(f"{name}={path}" for name, path in adapters(value)))
