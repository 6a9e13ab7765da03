"""Text Generation Inference: https://github.com/huggingface/text-generation-inference, last release 3.3.7.

In maintenance mode since December 2025: fixes only, and its own README points to vLLM. Names of variables, limits and
timings are those of docs/source/reference/launcher.md, launcher/src/main.rs and router/src/server.rs of that release.
"""

from collections.abc import Iterable, Mapping
from typing import ClassVar

from serving.engines.base import (
    Api,
    Container,
    Drain,
    Option,
    Probes,
    Replica,
    Route,
    Task,
)
from serving.engines.checks import adapters_check, number, one_of
from serving.engines.gpu import TORCH_ENV, GpuEngine
from serving.engines.metrics import MetricNames

_PRESTOP_SECONDS = 15
"""The listener closes with the signal and readiness is not flipped before: routers must have moved on by then."""
_GRACEFUL_SECONDS = 90
"""GRACEFUL_TERMINATION_TIMEOUT: the router is killed after it, whatever is open."""
_SHARDS_SECONDS = 30
"""The launcher stops the shards after the router."""


_QUANTIZE = (
    *("awq", "bitsandbytes", "bitsandbytes-fp4", "bitsandbytes-nf4", "compressed-tensors", "eetq", "exl2", "fp8"),
    *("gptq", "marlin"),
)
_OWN_WORDS = {("quantize", "bitsandbytes"): "bitsandbytes-nf4"}
"""The kit's words that mean something else here: TGI's plain `bitsandbytes` is 8 bits, and plans count 4."""
_SWITCH = one_of("true", "false")
_ZERO_ONE = one_of("0", "1")


class TgiEngine(GpuEngine):
    """A container of the official image. Everything goes by environment: its entrypoint splits arguments at spaces."""

    name = "tgi"
    tasks = frozenset({Task.GENERATE})
    options: ClassVar[Mapping[str, Option]] = {
        "attention": Option("attention kernels", one_of("flashinfer", "flashdecoding", "flashdecoding-ipex", "paged")),
        "cuda-graphs": Option("batch sizes to record graphs for, separated by commas; 0 for none"),
        "cuda-memory-fraction": Option("share of the GPU's memory to use", number(0.05, 1, whole=False)),
        "disable-grammar-support": Option("refuse guided decoding", _SWITCH),
        "dtype": Option("number format of weights; not together with quantize", one_of("float16", "bfloat16")),
        "enable-prefill-logprobs": Option("log-probabilities of prompts; takes much memory", _SWITCH),
        "kv-cache-dtype": Option("number format of the KV cache", one_of("fp8_e4m3fn", "fp8_e5m2")),
        "lora-adapters": Option("adapters to load: name=/models/folder, separated by commas", adapters_check),
        "max-best-of": Option("most sequences of one request", number(1, 64)),
        "max-client-batch-size": Option("inputs in one request", number(1, 1024)),
        "max-stop-sequences": Option("stop sequences of one request", number(0, 64)),
        "max-top-n-tokens": Option("alternatives reported a token", number(0, 1000)),
        "max-waiting-tokens": Option("tokens generated before waiting requests may join", number(0, 10_000)),
        "otlp-endpoint": Option("traces go to this OpenTelemetry collector (gRPC)"),
        "otlp-service-name": Option("name in traces"),
        "payload-limit": Option("bytes of a request's body", number(1_000, 1_000_000_000)),
        "prefill-chunking": Option("split long prompts", _ZERO_ONE),
        "prefix-caching": Option("keep the KV cache of prompt prefixes", _ZERO_ONE),
        "quantize": Option("weights are, or are loaded, quantized", one_of(*_QUANTIZE)),
        "rope-factor": Option("context extension factor", number(1, 64, whole=False)),
        "rope-scaling": Option("context extension method", one_of("linear", "dynamic")),
        "speculate": Option("tokens to guess ahead", number(0, 16)),
        "trust-remote-code": Option("run Python code that comes with the weights", _SWITCH),
        "validation-workers": Option("tokenizer threads", number(1, 64)),
        "waiting-served-ratio": Option(
            "waiting over running requests at which prefill goes first", number(0, 100, whole=False)
        ),
    }
    managed: ClassVar[Mapping[str, str]] = {
        "api-key": "keys belong to the gateway (TGI logs its own and passes it on its command line)",
        "graceful-termination-timeout": "it is part of the drain contract",
        "hostname": "pods listen on all addresses",
        "json-output": "logs are JSON lines always",
        "max-batch-prefill-tokens": "set max_batch_prefill_tokens in the limits",
        "max-batch-size": "set concurrency",
        "max-batch-total-tokens": "TGI finds it at warm-up and ignores this on current models",
        "max-concurrent-requests": "set concurrency",
        "max-input-length": "set context and max_output_tokens",
        "max-input-tokens": "set context and max_output_tokens",
        "max-total-tokens": "set context",
        "model-id": "set source",
        "num-shard": "the planner sets it from gpu",
        "port": "it is 8080: a container that is not root cannot bind the image's port 80",
        "revision": "set source",
        "sharded": "the planner sets it from gpu",
        "usage-stats": "it is off always",
    }

    def command(self, replica: Replica) -> tuple[str, ...]:
        """The image's own entrypoint: see the class."""
        self.check(replica)
        return ()

    def env(self, replica: Replica) -> dict[str, str]:
        """Sorted, so that rendered manifests do not churn."""
        self.check(replica)
        limits = replica.limits
        env = {
            "GRACEFUL_TERMINATION_TIMEOUT": str(_GRACEFUL_SECONDS),
            "HF_HUB_OFFLINE": "1",  # weights come from the store; nothing is downloaded at start
            "HOSTNAME": "0.0.0.0",  # noqa: S104 - in a pod; the kubelet would set the pod's name, which TGI cannot parse
            "JSON_OUTPUT": "true",
            "LOG_COLORIZE": "0",
            "MAX_BATCH_SIZE": str(limits.max_concurrent_requests),
            # Here it is what TGI's router holds at once, running and queued; beyond it answers 429.
            "MAX_CONCURRENT_REQUESTS": str(limits.max_concurrent_requests + limits.max_queued_requests),
            "MAX_INPUT_TOKENS": str(limits.max_input_tokens),
            "MAX_TOTAL_TOKENS": str(limits.max_total_tokens),
            "MODEL_ID": replica.weights,
            "NUM_SHARD": str(replica.shards),
            "PORT": str(replica.port),
            "USAGE_STATS": "off",  # on by default, and it phones home
        }
        if limits.max_batch_prefill_tokens is not None:
            env["MAX_BATCH_PREFILL_TOKENS"] = str(limits.max_batch_prefill_tokens)
        env |= {
            name.upper().replace("-", "_"): _OWN_WORDS.get((name, value), value)
            for name, value in replica.options.items()
        }
        return dict(sorted(env.items()))

    @property
    def container(self) -> Container:
        """Kernels come with the image in /kernels; Triton and the hub's library write below the home."""
        return Container(
            env=TORCH_ENV,
            shm=True,
        )

    def _impossible(self, replica: Replica) -> Iterable[str]:
        """What TGI's launcher would refuse after the image is pulled and the GPU is paid for."""
        limits, prefill = replica.limits, replica.limits.max_batch_prefill_tokens
        yield from super()._impossible(replica)
        # On current GPUs long prompts are split over several passes, unless that is turned off.
        whole = replica.options.get("prefill-chunking") == "0" or replica.options.get("attention") == "paged"
        if whole and prefill is not None and prefill < limits.max_input_tokens:
            yield (
                f"max_batch_prefill_tokens is {prefill}; without chunked prefill it must be at least max_input_tokens "
                f"({limits.max_input_tokens}), or the longest prompt fits no batch"
            )
        if "dtype" in replica.options and "quantize" in replica.options:
            yield "options 'dtype' and 'quantize' exclude each other; leave out one"

    @property
    def probes(self) -> Probes:
        """The port opens after warm-up only, and a health check may run a prefill behind a long one."""
        return Probes(path="/health", startup_seconds=1800, period_seconds=10, timeout_seconds=5, failures=6)

    @property
    def drain(self) -> Drain:
        """Wait, signal, router, shards."""
        return Drain(
            prestop_seconds=_PRESTOP_SECONDS,
            signal="TERM",
            engine_seconds=_GRACEFUL_SECONDS,
            grace_seconds=_PRESTOP_SECONDS + _GRACEFUL_SECONDS + _SHARDS_SECONDS,
        )

    def metrics(self, task: Task) -> MetricNames:
        """Counters have no `_total`; a series exists after its first request only, so rules need `or vector(0)`."""
        self._serves(task)
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
            ttft=None,
            cached_prompt_tokens=None,
        )

    def routes(self, task: Task) -> tuple[Route, ...]:
        """Not /docs, /metrics, /invocations, /vertex, and not /chat_tokenize, which its API key would leave open."""
        self._serves(task)
        return GENERATE_ROUTES


GENERATE_ROUTES = (
    Route("POST", "/v1/chat/completions", Api.OPENAI, stream=True),
    Route("POST", "/v1/completions", Api.OPENAI, stream=True),
    Route("POST", "/", Api.NATIVE, stream=True),
    Route("POST", "/generate", Api.NATIVE),
    Route("POST", "/generate_stream", Api.NATIVE, stream=True),
    Route("POST", "/v1/chat/completions", Api.NATIVE, stream=True),
    Route("POST", "/v1/completions", Api.NATIVE, stream=True),
    Route("POST", "/tokenize", Api.NATIVE),
    Route("GET", "/v1/models", Api.NATIVE),
    Route("GET", "/info", Api.NATIVE),
    Route("GET", "/health", Api.NATIVE),
)
"""The protocol's routes, `POST /` being what huggingface_hub's InferenceClient calls."""
