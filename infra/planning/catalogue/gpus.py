"""Accelerators: memory, speed and slices."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from infra.planning.text import MIB


@dataclass(frozen=True, slots=True)
class Slice:
    """A MIG profile: a part of one GPU with memory and compute of its own."""

    profile: str
    compute: float
    """Share of the GPU's compute."""
    memory_bytes: int
    each: int
    """Slices of this profile that one GPU gives."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One accelerator, or one slice of it."""

    name: str
    memory_bytes: int
    bandwidth: float
    """Of device memory, bytes a second."""
    flops: float
    """Dense 16-bit, a second."""
    fp8_flops: float
    """Dense 8-bit, a second; equal to `flops` where the hardware has no 8-bit floats."""
    capability: float
    """CUDA compute capability, 0 for neuron devices."""
    link: float
    """Exchange with a neighbour in the node, bytes a second."""
    neuron: bool = False
    slices: tuple[Slice, ...] = ()
    product: str = ""
    """What GPU feature discovery writes into a node's label `nvidia.com/gpu.product`; empty for neuron devices."""

    def slice(self, part: Slice) -> "Gpu":
        """Return the slice as a device. Memory bandwidth goes with memory, compute with the compute share."""
        share = part.memory_bytes / self.memory_bytes
        return replace(
            self,
            name=f"{self.name}:{part.profile}",
            memory_bytes=part.memory_bytes,
            bandwidth=self.bandwidth * share,
            flops=self.flops * part.compute,
            fp8_flops=self.fp8_flops * part.compute,
            link=0.0,
            slices=(),
        )


@cache
def gpus() -> Mapping[str, Gpu]:
    """Return all accelerators by the name that stack files use."""
    return {name: _read(name, fields) for name, fields in _fields().items()}


def aws_gpu(name: str, memory_mib: int) -> str | None:
    """Return our name of an accelerator as AWS names it, told apart by memory; None when it is not in the list."""
    for ours, fields in _fields().items():
        if fields["aws"] == name and abs(fields["memory_mib"] - memory_mib) < memory_mib / 10:
            return ours
    return None


@cache
def _fields() -> Mapping[str, Mapping[str, Any]]:
    content: Mapping[str, Mapping[str, Any]] = yaml.safe_load(
        files("infra.planning.data").joinpath("gpus.yaml").read_text()
    )
    return content


def _read(name: str, fields: Mapping[str, Any]) -> Gpu:
    return Gpu(
        name=name,
        memory_bytes=fields["memory_mib"] * MIB,
        bandwidth=fields["bandwidth_gbs"] * 1e9,
        flops=fields["fp16_tflops"] * 1e12,
        fp8_flops=fields.get("fp8_tflops", fields["fp16_tflops"]) * 1e12,
        capability=float(fields["capability"]),
        link=fields["link_gbs"] * 1e9,
        neuron=bool(fields.get("neuron")),
        slices=tuple(
            Slice(part["profile"], part["compute"], part["memory_mib"] * MIB, part["each"])
            for part in fields.get("mig", ())
        ),
        product=fields.get("product", ""),
    )
