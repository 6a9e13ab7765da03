"""How long one engine step takes: a roofline with efficiency factors.

A step of a continuous-batching engine runs new prompt tokens (prefill) and one token of each running request (decode).
Both read the weights; prefill is bound by arithmetic, decode by memory.
"""

from dataclasses import dataclass, field

from infra.planning.catalogue.gpus import Gpu
from infra.planning.shapes import Shape


@dataclass(frozen=True, slots=True)
class Efficiency:
    """How near an engine comes to the roofline. Defaults with their error in the report; measured ones replace them."""

    memory: float = 0.7
    """Share of the memory bandwidth in decode: 0.6 to 0.8."""
    compute: float = 0.45
    """Share of the dense FLOPS in prefill (MFU): 0.3 to 0.5."""
    step_seconds: float = 0.003
    """Scheduling, sampling and kernel launches of one step."""
    error: float = 0.35
    """Stated relative error of times that rest on these factors."""
    origin: str = "roofline, default factors"


@dataclass(frozen=True, slots=True)
class Timing:
    """Step times of one replica, in seconds."""

    prefill_fixed: float
    """Of a step that has prompt tokens, beyond the tokens' own time."""
    prefill_token: float
    """Of one prompt token."""
    prefill_pair: float
    """Of one prompt token attending to one earlier token."""
    prefill_floor: float
    """Least time of a step with prompt tokens: the weights are read once."""
    weights_seconds: float
    """Of reading the part of the weights that every decode step reads."""
    experts_seconds: float
    """Of reading all experts; a batch touches some of them."""
    experts: int
    active_experts: int
    decode_request: float
    """Arithmetic of one running request."""
    decode_fixed: float
    decode_kv_token: float
    """Of reading the KV cache of one context token."""

    def prefill(self, tokens: float, earlier: float = 0.0) -> float:
        """Return the time of `tokens` prompt tokens that attend to `earlier` tokens each on average."""
        if tokens <= 0:
            return 0.0
        work = tokens * (self.prefill_token + earlier * self.prefill_pair)
        return self.prefill_fixed + max(work, self.prefill_floor)

    def decode_base(self, requests: float) -> float:
        """Return the part of a decode step that does not depend on context lengths."""
        if requests <= 0:
            return 0.0
        read = self.weights_seconds
        if self.experts:
            # Expected share of experts that a batch touches when routing is even.
            read += self.experts_seconds * (1 - (1 - self.active_experts / self.experts) ** requests)
        return self.decode_fixed + max(read, requests * self.decode_request)

    def decode(self, requests: float, kv_tokens: float) -> float:
        """Return the time of one token for each of `requests`, whose contexts hold `kv_tokens` together."""
        return self.decode_base(requests) + kv_tokens * self.decode_kv_token if requests > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Placement:
    """What runs on what."""

    shape: Shape
    gpu: Gpu
    shards: int = 1
    kv_bytes_per_token: int = 0
    weights_bytes: int = 0
    eight_bit: bool = False
    """Prefill runs in 8-bit arithmetic (fp8 weights on hardware that has it)."""
    efficiency: Efficiency = field(default_factory=Efficiency)


def roofline(placed: Placement) -> Timing:
    """Return step times of a model on `shards` devices.

    Prefill: 2 x active parameters x tokens / (FLOPS x MFU); decode: (weights + KV read) / (bandwidth x efficiency).
    Tensor parallelism divides both and adds two all-reduces a layer (ring: 2 (n-1)/n of the activations over the link,
    plus 10 us each over NVLink and 25 us over PCIe).
    """
    shape, gpu, factor = placed.shape, placed.gpu, placed.efficiency
    shards = placed.shards
    flops = (gpu.fp8_flops if placed.eight_bit else gpu.flops) * factor.compute * shards
    bandwidth = gpu.bandwidth * factor.memory * shards
    expert_share = shape.expert_parameters / shape.parameters
    reduces = 2 * (shape.layers + shape.encoder_layers)
    latency = 0.0
    exchange = 0.0
    if shards > 1:
        latency = reduces * (10e-6 if gpu.link > 100e9 else 25e-6)
        exchange = reduces * 2 * (shards - 1) / shards * shape.hidden * 2 / gpu.link
    per_token = 2.0 * shape.active_parameters / flops + exchange
    return Timing(
        prefill_fixed=factor.step_seconds + latency,
        prefill_token=per_token,
        prefill_pair=(shape.flops_per_token(1) - shape.flops_per_token(0)) / flops,
        prefill_floor=placed.weights_bytes / bandwidth,
        weights_seconds=placed.weights_bytes * (1 - expert_share) / bandwidth,
        experts_seconds=placed.weights_bytes * expert_share / bandwidth,
        experts=shape.experts,
        active_experts=shape.active_experts,
        decode_request=per_token,
        decode_fixed=factor.step_seconds + latency,
        decode_kv_token=placed.kv_bytes_per_token / bandwidth,
    )
