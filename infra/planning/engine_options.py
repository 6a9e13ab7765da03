"""Options that a replica is started with: the stack file's, and what the plan adds so that memory is as planned."""

from infra.planning.catalogue import Gpu
from infra.planning.request import ModelRequest

BFLOAT16_CAPABILITY = 8.0
"""Older GPUs have no bfloat16."""
_STORED_TYPE = ("tgi", "vllm")
"""Engines that are told the stored type: TGI serves most models in float16 otherwise, whose range bfloat16 exceeds."""


def engine_options(request: ModelRequest, gpu: Gpu | None = None) -> dict[str, str]:
    """Return options by name, sorted: the model's own, `dtype` and `quantize` in the kit's words."""
    options = dict(request.options)
    if request.quantize is not None:
        options["quantize"] = request.quantize
    if request.dtype is not None:
        options["dtype"] = request.dtype
    elif gpu is not None and _keeps_bfloat16(request, gpu):
        options["dtype"] = "bfloat16"
    return dict(sorted(options.items()))


def _keeps_bfloat16(request: ModelRequest, gpu: Gpu) -> bool:
    shape = request.shape
    plain = request.quantize is None and shape.quantisation is None and shape.dtype == "bfloat16"
    return plain and request.engine in _STORED_TYPE and gpu.capability >= BFLOAT16_CAPABILITY


def memory_share(request: ModelRequest, share: float) -> float:
    """Return the share of device memory that the engine takes: the usual `share`, or what the options make of it.

    vLLM's option is the share itself; TGI's is taken of what is left after its own margin.
    """
    if request.engine == "vllm":
        return float(request.options.get("gpu-memory-utilization", share))
    if request.engine == "tgi":
        return share * float(request.options.get("cuda-memory-fraction", 1.0))
    return share


def chunks_prompts(request: ModelRequest) -> bool:
    """Return whether the options leave long prompts split over several passes."""
    options = request.options
    if request.engine == "vllm":
        return options.get("enable-chunked-prefill") != "false"
    return options.get("prefill-chunking") != "0" and options.get("attention") != "paged"
