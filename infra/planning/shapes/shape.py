"""The shape of one model."""

from dataclasses import dataclass, replace
from enum import StrEnum

from infra.planning.shapes.quantisation import BYTES, Quantisation


class Task(StrEnum):
    """What the model does with its input."""

    GENERATE = "generate"
    EMBED = "embed"


@dataclass(frozen=True, slots=True)
class Shape:
    """Everything about a model that memory, speed and price depend on."""

    family: str
    """`model_type` of the config, e.g. `llama`."""
    task: Task
    parameters: int
    active_parameters: int
    """Parameters that one token passes through; fewer than `parameters` in mixture models."""
    layers: int
    """Transformer blocks that keep a KV cache (a T5's decoder blocks), or a BERT's blocks."""
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    """Feed-forward width that one token passes (active and shared experts together in mixture models)."""
    vocabulary: int
    context: int
    """Longest sequence the model was made for, tokens."""
    dtype: str
    """Of the stored weights, e.g. `bfloat16`."""
    weights_bytes: int
    """As stored, and as held by an engine that runs the stored type."""
    encoder_layers: int = 0
    """Blocks that run once over the prompt and keep nothing (T5)."""
    window: int | None = None
    """Sliding attention window in tokens, of `windowed_layers`."""
    windowed_layers: int = 0
    quantisation: Quantisation | None = None
    experts: int = 0
    """Experts a layer, 0 in dense models."""
    active_experts: int = 0
    expert_parameters: int = 0
    """Parameters of all experts together."""
    resizable_dtype: bool = True
    """False where the weights cannot be served in another float type (quantised ones)."""

    def kv_bytes_per_token(self, dtype: str = "float16") -> int:
        """Return KV cache bytes that one token takes in all layers: 2 x layers x KV heads x head size x bytes.

        Source: TGI `kv_vram_per_tok`; vLLM `FullAttentionSpec.page_size_bytes`. Windowed layers count in full,
        as TGI and vLLM's uniform allocator hold them; a T5 keeps as much for each prompt token (cross attention).
        """
        if self.task is Task.EMBED:
            return 0
        return 2 * self.layers * self.kv_heads * self.head_dim * BYTES[dtype]

    def flops_per_token(self, context: float = 0.0) -> float:
        """Return forward FLOPs of one token: 2 x active parameters + attention over `context` earlier tokens.

        Attention: 4 x heads x head size x context a layer (scores and values, multiply and add each).
        Source: Kaplan et al. 2020, arXiv 2001.08361, table 1.
        """
        attended = self.layers + self.encoder_layers
        return 2.0 * self.active_parameters + 4.0 * attended * self.heads * self.head_dim * context

    def weights_bytes_as(self, dtype: str | None) -> int:
        """Return weight bytes when served in another float type; quantised weights stay as they are stored."""
        if dtype is None or not self.resizable_dtype:
            return self.weights_bytes
        return self.weights_bytes * BYTES[dtype] // BYTES[self.dtype]

    def with_stored(self, stored: int) -> "Shape":
        """Return the shape with weight bytes as measured on the files."""
        return replace(self, weights_bytes=stored)
