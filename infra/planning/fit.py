"""Whether one replica of a model fits on given devices, and what is left for the KV cache."""

from dataclasses import dataclass

from infra.planning.catalogue import Gpu
from infra.planning.engine_options import BFLOAT16_CAPABILITY, chunks_prompts, memory_share
from infra.planning.request import ModelRequest
from infra.planning.shapes import Shape, Task
from infra.planning.shapes.quantisation import Quantisation
from infra.planning.text import GIB, size, tokens
from serving.engines import EngineError, engine

UTILISATION = 0.90
"""Share of device memory that an engine uses: TGI_WIGGLE_ROOM's default, and what the kit tells vLLM.
The rest holds the CUDA context, NCCL's buffers and fragmentation."""
KV_FACTOR = 0.7
"""Planned KV cache over what is left after weights: HF publishes about 30 k tokens for 8B on an L4, where the formula
gives 42 k (TGI docs/source/conceptual/chunking.md). CUDA graphs and allocator waste take the rest."""
_VLLM_ACTIVATIONS_GIB = {
    "llama": 1.89, "qwen2": 2.25, "qwen3": 2.21, "mixtral": 1.21, "phi3": 1.52, "qwen2_moe": 2.47,
    "qwen3_moe": 2.68, "gemma": 3.63, "gemma2": 3.65, "gemma3": 3.94, "gemma3_text": 3.94,
}  # fmt: skip
_VLLM_DENSE_GIB, _VLLM_MIXTURE_GIB = 2.00, 2.50
"""Peak activations of one device with CUDA graphs, by family, whatever the context: measured on vLLM 0.19.0, H100, by
llm-d-planner 0.3.3 (vllm_memory_constants.json, 49 runs of 28 models). With vLLM they replace the factor above."""
_VLLM_OUTSIDE_GIB = 0.27
_VLLM_OUTSIDE_SHARDED_GIB = 2.10
"""Memory of one device outside the allocator, alone and with NCCL; same source."""
BATCH_PREFILL_TOKENS = 4096
GENERATION_CHUNK = 1024
"""TGI reserves KV for input + min(max_new_tokens, 1024) when it admits a request (router DEFAULT_GENERATION_LENGTH)."""
PREFIX_CACHING_CAPABILITY = 8.0
"""Below it TGI runs paged attention without prefix cache and without chunked prefill (launcher resolve_attention)."""

_FP8_CAPABILITY = 8.0
"""fp8 weights: in hardware from 8.9; 8.0 and 8.6 run them as 16-bit products (Marlin); older cannot."""
_LEAST_CAPABILITY = {"awq": 7.5, "gptq": 7.5, "fp8": _FP8_CAPABILITY, "bitsandbytes": 7.5, "compressed-tensors": 7.5}
_ON_LOAD = {"fp8": Quantisation("fp8", 8.0), "bitsandbytes": Quantisation("bitsandbytes", 4.0, 64, scale_bits=8)}
"""Quantisers that take 16-bit weights and shrink them while loading."""

_HOST_BASE = 4 * GIB
"""Router, launcher and tokenizers of an engine: about 4 GB resident for vLLM on CPU, measured."""
_HOST_SHARD = 2 * GIB
"""One Python process a shard. Weights are mapped from files, so their pages count as cache, not as use."""
_SHM_ONE, _SHM_MORE = GIB, 2 * GIB
"""Shared memory: 1 GiB (TGI README), 2 GiB with tensor parallelism (vLLM docs/deployment/k8s.md). Counts as memory."""
IMAGE_BYTES = {"tgi": 13 * 10**9, "vllm": 17 * 10**9, "tei": 2 * 10**9, "local": 300 * 10**6}
"""Compressed images: 15 to 20 GB for current GPU engines (AWS ML blog 2026-06), TGI and TEI are smaller."""
_UNPACKED = 2.2
"""Unpacked image over its compressed size."""
_LOGS_BYTES = 10 * 10**9


@dataclass(frozen=True, slots=True)
class Fit:
    """One replica on `shards` devices."""

    gpu: Gpu
    shards: int
    weights_bytes: int
    """On each device."""
    kv_bytes_per_token: int
    """On all devices together, replicated heads included."""
    kv_tokens: int
    """Planned for."""
    kv_tokens_bound: int
    """By formula: what is left after weights, all of it."""
    activation_bytes: int
    batch_tokens: int
    memory_bytes: int
    """Host memory with shared memory."""
    shm_bytes: int
    cpu_millis: int
    disk_bytes: int
    prefix_cache: bool


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why a replica does not fit."""

    gpu: str
    shards: int
    rule: str
    """What is missing, by how much."""
    short_bytes: int = 0
    """On each device; 0 when memory is not what is missing."""

    def __str__(self) -> str:
        """Return where and why."""
        return f"{self.shards} x {self.gpu}: {self.rule}" if self.shards > 1 else f"{self.gpu}: {self.rule}"


def shard_degrees(shape: Shape, most: int) -> list[int]:
    """Return the powers of two up to `most` that divide heads and feed-forward width, fewest first.

    KV heads are split as far as they go and then copied.
    """
    degrees = []
    degree = 1
    while degree <= most:
        heads = shape.heads % degree == 0 and (shape.kv_heads % degree == 0 or degree % shape.kv_heads == 0)
        if heads and shape.ffn % degree == 0:
            degrees.append(degree)
        degree *= 2
    return degrees


def served_weights(request: ModelRequest) -> int:
    """Return bytes of the weights in device memory, in the type and quantisation they are served in."""
    shape = request.shape
    on_load = _ON_LOAD.get(request.quantize or "")
    if on_load is not None and shape.quantisation is None:
        # Embeddings and head stay in 16 bits.
        kept = min(shape.parameters, 2 * shape.vocabulary * shape.hidden)
        return int((shape.parameters - kept) * on_load.bytes_of(1, 1) + kept * 2)
    # Engines serve 32-bit checkpoints in 16 bits on a GPU unless told otherwise (TGI and vLLM `dtype` defaults).
    dtype = request.dtype or ("float16" if shape.dtype == "float32" else None)
    return shape.weights_bytes_as(dtype)


def fit(request: ModelRequest, gpu: Gpu, shards: int) -> Fit | Misfit:
    """Return how a replica fits on `shards` devices, or what it misses and by how much."""
    shape = request.shape
    unsupported = _unsupported(request, gpu, shards)
    if unsupported is not None:
        return Misfit(gpu.name, shards, unsupported)
    weights = -(-served_weights(request) // shards)
    usable = int(gpu.memory_bytes * memory_share(request, UTILISATION))
    chunked = gpu.capability >= PREFIX_CACHING_CAPABILITY and not shape.encoder_layers and chunks_prompts(request)
    batch_tokens = batch_tokens_of(request, chunked=chunked)
    activations = activation_bytes(shape, batch_tokens, shards)
    if request.engine == "vllm":
        outside = _VLLM_OUTSIDE_SHARDED_GIB if shards > 1 else _VLLM_OUTSIDE_GIB
        measured = (
            _VLLM_ACTIVATIONS_GIB.get(shape.family, _VLLM_MIXTURE_GIB if shape.experts else _VLLM_DENSE_GIB) + outside
        )
        activations = max(activations, int(measured * GIB))
    left = usable - weights
    if left < activations:
        short = weights + activations - usable
        rule = (
            f"weights of {size(weights)} and {size(activations)} of activations are {size(short)} more than the "
            f"{size(usable)} that an engine uses of {size(gpu.memory_bytes)}"
        )
        return Misfit(gpu.name, shards, rule, short)
    copies = max(1, shards // shape.kv_heads) if shape.kv_heads < shards else 1
    per_token = shape.kv_bytes_per_token(_kv_dtype(request)) * copies
    bound = planned = 0
    if shape.task is Task.GENERATE:
        bound = left * shards // per_token
        room = left - activations
        planned = int((room if request.engine == "vllm" else min(left * KV_FACTOR, room)) * shards // per_token)
        short_tokens = needed_tokens(request) - planned
        if short_tokens > 0:
            short = -(-short_tokens * per_token // shards)
            return Misfit(gpu.name, shards, _short_cache(request, planned), short)
    shm = _SHM_MORE if shards > 1 else _SHM_ONE
    image = IMAGE_BYTES.get(request.engine, IMAGE_BYTES["vllm"])
    return Fit(
        gpu=gpu,
        shards=shards,
        weights_bytes=weights,
        kv_bytes_per_token=per_token,
        kv_tokens=planned,
        kv_tokens_bound=int(bound),
        activation_bytes=activations,
        batch_tokens=batch_tokens,
        memory_bytes=_HOST_BASE + _HOST_SHARD * shards + shm,
        shm_bytes=shm,
        cpu_millis=1000 + 1000 * shards,
        disk_bytes=int(image * _UNPACKED) + shape.weights_bytes + _LOGS_BYTES,
        prefix_cache=chunked,
    )


def batch_tokens_of(request: ModelRequest, *, chunked: bool = False) -> int:
    """Return the tokens of one prefill pass; of an encoder, the inputs of one batch together.

    What is not split must fit whole. TEI has no limit on an input but the model's own length, and refuses to start when
    a batch could not hold that; vLLM gives every running request a token of each pass.
    """
    tokens_at_once = max(1, min(BATCH_PREFILL_TOKENS, 4 * request.context), request.concurrency)
    if request.shape.task is Task.EMBED:
        return max(tokens_at_once, request.context, request.shape.context)
    return tokens_at_once if chunked else max(tokens_at_once, request.context)


def needed_tokens(request: ModelRequest) -> int:
    """Return the least KV cache of a replica: one request of the whole context, or the asked concurrency at its mean.

    With traffic known, `concurrency` requests of mean length must run at once; TGI reserves a whole generation chunk.
    """
    least = request.context
    if request.demand is None:
        return least
    answer = request.demand.output_tokens
    if request.engine == "tgi" and request.max_output_tokens is not None:
        answer = max(answer, min(request.max_output_tokens, GENERATION_CHUNK) / 2)
    mean = min(request.demand.prompt_tokens + answer, request.context)
    return max(least, int(request.concurrency * mean))


def activation_bytes(shape: Shape, batch_tokens: int, shards: int) -> int:
    """Return what a prefill pass holds beside weights and cache: one block's intermediate values, and logits.

    16-bit values: two copies of the residual, queries, keys, values and attention output, and the feed-forward's inputs
    and product; logits of 256 sequences in 32 bits (what vLLM's profile run measures with its default max-num-seqs).
    """
    heads = (2 * shape.heads + 2 * shape.kv_heads) * shape.head_dim
    per_token = 2 * (4 * shape.hidden + (heads + 3 * shape.ffn) / shards)
    logits = 256 * shape.vocabulary * 4 / shards if shape.task is Task.GENERATE else 0
    return int(batch_tokens * per_token + logits)


def _kv_dtype(request: ModelRequest) -> str:
    return "fp8" if request.options.get("kv-cache-dtype", "").startswith("fp8") else "float16"


def _short_cache(request: ModelRequest, planned: int) -> str:
    needed = needed_tokens(request)
    what = "one request of the whole context"
    way = f"context {max(0, planned)} would fit"
    if needed > request.context:
        each = needed / request.concurrency
        what = f"{request.concurrency} requests of {tokens(each)} tokens"
        way = f"concurrency {int(planned // each)} would fit" if planned >= request.context else way
    return f"the KV cache holds {tokens(planned)} tokens, {tokens(needed - planned)} too few for {what}; {way}"


def _unsupported(request: ModelRequest, gpu: Gpu, shards: int) -> str | None:
    shape = request.shape
    if gpu.neuron:
        return "runs only models that were compiled for it"
    if request.engine == "tei" and shards > 1:
        return "TEI cannot split a model over GPUs"
    try:
        engine(request.engine).image(gpu.capability)
    except EngineError as error:
        return str(error)
    if shards not in shard_degrees(shape, shards):
        return f"{shape.heads} heads and {shape.kv_heads} KV heads cannot be split {shards} ways"
    method = request.quantize or (shape.quantisation.method if shape.quantisation else None)
    least = _LEAST_CAPABILITY.get(method or "", 7.5)
    if gpu.capability < least:
        return f"{method or 'the engine'} needs compute capability {least}, this device has {gpu.capability}"
    if request.dtype == "bfloat16" and gpu.capability < BFLOAT16_CAPABILITY:
        return f"has no bfloat16 (compute capability {gpu.capability}); dtype float16 would run"
    return None
