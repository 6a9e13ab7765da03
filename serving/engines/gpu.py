"""What text-generation servers on NVIDIA GPUs have in common: one image, PyTorch's caches, limits that cannot be."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from serving.engines.base import Engine, EngineError, Replica

LEAST_CAPABILITY = 7.5
"""CUDA compute capability: the images' kernels are built from Turing on."""
TORCH_ENV: Mapping[str, str] = MappingProxyType(
    {
        "HF_HOME": "/cache/huggingface",
        "HOME": "/cache",
        "TORCHINDUCTOR_CACHE_DIR": "/cache/inductor",
        "TRITON_CACHE_DIR": "/cache/triton",
        "USER": "berth",  # torch asks for the user's name, which a bare id has not
    }
)
"""Where PyTorch and what it compiles may write."""


class GpuEngine(Engine):
    """An engine whose one image, named as the engine is, runs on every NVIDIA GPU that is not too old."""

    def image(self, capability: float | None) -> str:
        """One image for all NVIDIA GPUs from compute capability 7.5."""
        if capability is None or capability < LEAST_CAPABILITY:
            raise EngineError(
                f"engine {self.name} needs an NVIDIA GPU of compute capability {LEAST_CAPABILITY} or more"
            )
        return self.name

    def _impossible(self, replica: Replica) -> Iterable[str]:
        limits = replica.limits
        if limits.max_input_tokens == limits.max_total_tokens:
            yield f"max_input_tokens and max_total_tokens are both {limits.max_input_tokens}: nothing could follow"
        if not replica.gpu:
            yield "the replica has no GPU, which this engine needs"
