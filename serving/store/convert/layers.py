"""Filling in layers of a CTranslate2 spec."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Weights = dict[str, Array]


def fp32(array: Array) -> Array:
    """Contiguous float32, the form that specs are filled with before they are quantized."""
    return np.ascontiguousarray(array, dtype=np.float32)


def norm(spec: Any, weights: Weights, prefix: str) -> None:
    """LayerNorm, or RMSNorm where there is no bias."""
    spec.gamma = fp32(weights[f"{prefix}.weight"])
    if f"{prefix}.bias" in weights:
        spec.beta = fp32(weights[f"{prefix}.bias"])


def linear(spec: Any, weights: Weights, *prefixes: str, transpose: bool = False) -> None:
    """A dense layer, or several with the same input stacked into one (queries, keys, values).

    `transpose` for GPT-2, whose Conv1D keeps inputs by rows.
    """
    parts = [weights[f"{prefix}.weight"] for prefix in prefixes]
    spec.weight = fp32(np.concatenate([part.T for part in parts] if transpose else parts))
    if f"{prefixes[0]}.bias" in weights:
        spec.bias = fp32(np.concatenate([weights[f"{prefix}.bias"] for prefix in prefixes]))
