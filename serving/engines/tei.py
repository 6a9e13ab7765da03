"""Text Embeddings Inference: https://github.com/huggingface/text-embeddings-inference, release 1.9.

Names of variables and limits are those of router/src/main.rs, timings of router/src/shutdown.rs and core/src/infer.rs.
"""

from collections.abc import Iterable, Mapping
from typing import ClassVar

from serving.engines.base import (
    Api,
    Container,
    Drain,
    Engine,
    EngineError,
    Option,
    Probes,
    Replica,
    Route,
    Task,
)
from serving.engines.checks import number, one_of
from serving.engines.metrics import MetricNames

_PRESTOP_SECONDS = 15
"""The listener closes with the signal and readiness is not flipped before: routers must have moved on by then."""
_REQUEST_SECONDS = 30
"""The longest that a request may run on after the signal; TEI itself waits without a limit."""
_EXIT_SECONDS = 15

_IMAGES = {7.5: "tei-75", 8.0: "tei-80", 8.6: "tei-86", 8.9: "tei-89", 9.0: "tei-90", 10.0: "tei-100", 12.0: "tei-120"}
"""By compute capability: each image has kernels for one only, and refuses to start on another."""
_CPU_IMAGE = "tei-cpu"
_CLIENT_BATCH = 32
"""TEI's own default of max-client-batch-size."""
_SWITCH = one_of("true", "false")


class TeiEngine(Engine):
    """A container of the official image. Everything goes by environment, on GPUs and CPUs alike."""

    name = "tei"
    tasks = frozenset({Task.EMBED})
    options: ClassVar[Mapping[str, Option]] = {
        "auto-truncate": Option("cut long inputs instead of refusing them", _SWITCH),
        "default-prompt": Option("text put in front of every input"),
        "default-prompt-name": Option("the same, by its name in the model's sentence-transformers config"),
        "dense-path": Option("folder of the model's dense module"),
        "disable-spans": Option("leave spans out of the logs", _SWITCH),
        "dtype": Option("number format of weights; without a GPU float32 only", one_of("float16", "float32")),
        "max-batch-requests": Option("inputs in one batch", number(1, 4096)),
        "max-client-batch-size": Option("inputs in one request", number(1, 1024)),
        "otlp-endpoint": Option("traces go to this OpenTelemetry collector (gRPC)"),
        "otlp-service-name": Option("name in traces"),
        "payload-limit": Option("bytes of a request's body", number(1_000, 1_000_000_000)),
        "pooling": Option("how token vectors become one", one_of("cls", "mean", "splade", "last-token")),
        "tokenization-workers": Option("tokenizer threads", number(1, 64)),
    }
    managed: ClassVar[Mapping[str, str]] = {
        "api-key": "keys belong to the gateway",
        "hf-api-token": "nothing is downloaded at start; set kubernetes.hub_token for staging",
        "hf-token": "nothing is downloaded at start; set kubernetes.hub_token for staging",
        "hostname": "pods listen on all addresses",
        "huggingface-hub-cache": "nothing is downloaded at start; set source",
        "json-output": "logs are JSON lines always",
        "max-batch-tokens": "set max_batch_prefill_tokens in the limits",
        "max-concurrent-requests": "set concurrency",
        "model-id": "set source",
        "port": "it is 8080: a container that is not root cannot bind the image's port 80",
        "prometheus-port": "metrics are served on the main port",
        "quantize": "TEI serves weights as they are stored, in 16 or 32 bits; set dtype",
        "revision": "set source",
        "served-model-name": "it is the model's name in the stack file",
        "uds-path": "it lies in the pod's own /tmp",
    }

    def command(self, replica: Replica) -> tuple[str, ...]:
        """The image's own entrypoint, which on some picks a build for the GPU."""
        self.check(replica)
        return ()

    def env(self, replica: Replica) -> dict[str, str]:
        """Sorted, so that rendered manifests do not churn."""
        self.check(replica)
        limits = replica.limits
        at_once = limits.max_concurrent_requests + limits.max_queued_requests
        inputs = int(replica.options.get("max-client-batch-size", _CLIENT_BATCH))
        env = {
            # On by default since 1.9, and silent: vectors of a cut text look like any other.
            "AUTO_TRUNCATE": "false",
            "HF_HUB_OFFLINE": "1",  # weights come from the store; nothing is downloaded at start
            "HOSTNAME": "0.0.0.0",  # noqa: S104 - in a pod; the kubelet would set the pod's name, which TEI cannot parse
            "JSON_OUTPUT": "true",
            # Counts inputs, not requests: one of a lone input beyond it gets 429, those of a list wait for their turn.
            "MAX_CONCURRENT_REQUESTS": str(at_once * inputs),
            "MODEL_ID": replica.weights,
            "PORT": str(replica.port),
            "SERVED_MODEL_NAME": replica.model,
        }
        if limits.max_batch_prefill_tokens is not None:
            env["MAX_BATCH_TOKENS"] = str(limits.max_batch_prefill_tokens)
        env |= {name.upper().replace("-", "_"): value for name, value in replica.options.items()}
        return dict(sorted(env.items()))

    def image(self, capability: float | None) -> str:
        """The CPU's, or that of the GPU's compute capability."""
        if capability is None:
            return _CPU_IMAGE
        if capability not in _IMAGES:
            known = ", ".join(str(each) for each in _IMAGES)
            raise EngineError(
                f"engine tei has no image for compute capability {capability}; it has for {known} and CPUs"
            )
        return _IMAGES[capability]

    @property
    def container(self) -> Container:
        """It keeps no cache; its Python backend's socket lies in /tmp."""
        return Container(
            writable=("/tmp",),  # noqa: S108 - the pod's own
            env={"HOME": "/tmp", "HUGGINGFACE_HUB_CACHE": "/tmp/huggingface"},  # noqa: S108
        )

    def _impossible(self, replica: Replica) -> Iterable[str]:
        limits, batch = replica.limits, replica.limits.max_batch_prefill_tokens
        if replica.shards > 1:
            yield f"shards is {replica.shards}; TEI cannot split a model over GPUs, so it must be 1"
        if batch is not None and batch < limits.max_input_tokens:
            yield (
                f"max_batch_prefill_tokens is {batch}; it must be at least max_input_tokens "
                f"({limits.max_input_tokens}), or the longest input fits no batch"
            )
        if not replica.gpu and replica.options.get("dtype") == "float16":
            yield "option 'dtype' is 'float16', which TEI cannot compute without a GPU; write float32"
        if "default-prompt" in replica.options and "default-prompt-name" in replica.options:
            yield "options 'default-prompt' and 'default-prompt-name' exclude each other; leave out one"

    @property
    def probes(self) -> Probes:
        """The port opens after a first pass; /health then runs another, behind the batches that wait."""
        return Probes(path="/health", startup_seconds=600, period_seconds=10, timeout_seconds=5, failures=6)

    @property
    def drain(self) -> Drain:
        """Wait, signal, open requests."""
        return Drain(
            prestop_seconds=_PRESTOP_SECONDS,
            signal="TERM",
            engine_seconds=_REQUEST_SECONDS,
            grace_seconds=_PRESTOP_SECONDS + _REQUEST_SECONDS + _EXIT_SECONDS,
        )

    def metrics(self, task: Task) -> MetricNames:
        """Counters have no `_total`; a series exists after its first request only, so rules need `or vector(0)`.

        te_request_* count requests (by `method`: single, batch), te_embed_* inputs.
        """
        self._serves(task)
        return MetricNames(
            path="/metrics",
            running=None,
            waiting="te_queue_size",
            success="te_request_success",
            failure="te_request_failure",
            failure_label="err",
            client_failures=("batch_size", "dropped", "model_type", "tokenization", "validation"),
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
        """Which of the native ones answer depends on the model: vectors, classes (/predict) or ranks (/rerank)."""
        self._serves(task)
        return EMBED_ROUTES


EMBED_ROUTES = (
    Route("POST", "/v1/embeddings", Api.OPENAI),
    Route("POST", "/", Api.NATIVE),
    Route("POST", "/embed", Api.NATIVE),
    Route("POST", "/embed_all", Api.NATIVE),
    Route("POST", "/embed_sparse", Api.NATIVE),
    Route("POST", "/predict", Api.NATIVE),
    Route("POST", "/rerank", Api.NATIVE),
    Route("POST", "/similarity", Api.NATIVE),
    Route("POST", "/tokenize", Api.NATIVE),
    Route("POST", "/decode", Api.NATIVE),
    Route("POST", "/v1/embeddings", Api.NATIVE),
    Route("GET", "/info", Api.NATIVE),
    Route("GET", "/health", Api.NATIVE),
)
"""The protocol's routes, `POST /` being what huggingface_hub's InferenceClient calls."""
