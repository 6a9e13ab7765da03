"""Data types, quantised storage and what they take."""

from collections.abc import Mapping
from dataclasses import dataclass

BYTES = {
    "float64": 8,
    "float32": 4,
    "float16": 2,
    "bfloat16": 2,
    "float8_e4m3fn": 1,
    "float8_e5m2": 1,
    "fp8": 1,
    "int8": 1,
}
"""Bytes of one value by type name (PyTorch's names, and the two short ones that engines take)."""


@dataclass(frozen=True, slots=True)
class Quantisation:
    """How linear layers are stored; embeddings, norms and the head keep the config's float type.

    Group formats store, a group of input values: the values, one scale of 16 bits, and (awq, gptq) one zero point of
    `bits` bits. gptq also keeps one 32-bit group index an input value. Sources: AutoAWQ `WQLinear_GEMM` buffers,
    AutoGPTQ `QuantLinear` buffers, compressed-tensors and fp8 checkpoints (one scale a block or tensor).
    """

    method: str
    bits: float
    group: int = 0
    """Values that share a scale; 0 means a scale for a whole tensor or channel, which weighs nothing."""
    zero_points: bool = False
    scale_bits: int = 16
    block: int = 0
    """Side of the square that shares a scale (fp8 block formats); 0 for none."""

    def bytes_of(self, inputs: int, outputs: int) -> float:
        """Return stored bytes of one linear layer's weight."""
        values = inputs * outputs
        stored = values * self.bits / 8
        if self.group:
            groups = values / self.group
            stored += groups * (self.scale_bits + (self.bits if self.zero_points else 0)) / 8
        if self.block:
            stored += values / self.block**2 * 4
        if self.method == "gptq":
            stored += inputs * 4
        return stored


def read_quantisation(config: Mapping[str, object]) -> Quantisation | None:
    """Return the quantisation that a config.json declares, or None. Raises KeyError for an unknown method."""
    section = config.get("quantization_config")
    if not isinstance(section, Mapping):
        return None
    method = str(section.get("quant_method", "")).lower()
    group = int(section.get("group_size", 128) or 128)
    match method:
        case "awq" | "gptq":
            bits = float(section.get("bits", section.get("w_bit", 4)))
            return Quantisation(method, bits, max(group, 0), zero_points=True)
        case "fp8" | "fbgemm_fp8":
            block = section.get("weight_block_size")
            return Quantisation(method, 8.0, block=int(block[0]) if isinstance(block, list) and block else 0)
        case "bitsandbytes":
            four = bool(section.get("load_in_4bit", section.get("_load_in_4bit", False)))
            # nf4: blocks of 64 values share one 32-bit scale, itself quantised to 8 bits when nested.
            return Quantisation(method, 4.0, 64, scale_bits=8) if four else Quantisation(method, 8.0)
        case "mxfp4":
            return Quantisation(method, 4.0, 32, scale_bits=8)
        case "compressed-tensors":
            return Quantisation(method, *_compressed(section))
        case _:
            raise KeyError(method)


def _compressed(section: Mapping[str, object]) -> tuple[float, int]:
    groups = section.get("config_groups")
    first: object = next(iter(groups.values()), {}) if isinstance(groups, Mapping) else {}
    weights = first.get("weights", {}) if isinstance(first, Mapping) else {}
    return float(weights.get("num_bits", 8)), int(weights.get("group_size") or 0)
