"""How long a replica takes to be ready, from sizes and bandwidths, and the probes that follow."""

import math

from infra.planning.catalogue import Instance
from infra.planning.fit import IMAGE_BYTES, Fit
from infra.planning.plan import Stage, Startup

NODE_SECONDS = 150.0
"""From asking for a node to a pod that may start: 2 to 3 min on EKS (Karpenter, Bottlerocket)."""
_PULL_NVME, _PULL_VOLUME = 300e6, 60e6
"""Image bytes a second: pulled in parallel to local NVMe, or one layer after the other to a network volume (15 to 20 GB
in 4 to 6 min, AWS ML blog 2026-06)."""
_STORE_NVME, _STORE_VOLUME = 1.5e9, 250e6
"""Weights from a store of the same region: what local NVMe or a network volume takes."""
_NETWORK_SHARE = 0.8
_READ_NVME, _READ_VOLUME = 2.0e9, 250e6
"""Weights from disk into devices, all shards together."""
WARM_UP_SECONDS = {"tgi": 25.0, "vllm": 82.0, "tei": 8.0, "local": 2.0}
"""CUDA graphs, profile run and compilation: vLLM 48 s + 34 s (8B on EKS); TGI captures six batch sizes."""
_PROBE_PERIOD = 10
_PROBE_MARGIN = 3.0
_LEAST_PROBE_SECONDS = 120.0
"""No probe is shorter: a slow disk must not look like a crash."""


def startup(engine: str, weights_bytes: int, fit: Fit, node: Instance) -> Startup:
    """Return the chain of a cold start on a node type, and the startup probe: three times what the container needs."""
    local = node.nvme_bytes > 0
    image = IMAGE_BYTES.get(engine, IMAGE_BYTES["vllm"])
    fetch = min(node.network * _NETWORK_SHARE, _STORE_NVME if local else _STORE_VOLUME)
    stages = (
        Stage("node", NODE_SECONDS),
        Stage("image", image / min(node.network, _PULL_NVME if local else _PULL_VOLUME)),
        Stage("weights", weights_bytes / fetch),
        Stage("load", fit.weights_bytes * fit.shards / (_READ_NVME if local else _READ_VOLUME)),
        Stage("warm-up", WARM_UP_SECONDS.get(engine, WARM_UP_SECONDS["vllm"])),
    )
    return _with_probe(stages)


def startup_without_gpu(engine: str, weights_bytes: int) -> Startup:
    """Return the chain on a node that is there and has no accelerator."""
    image = IMAGE_BYTES.get(engine, IMAGE_BYTES["vllm"])
    stages = (
        Stage("image", image / _PULL_VOLUME),
        Stage("weights", weights_bytes / _STORE_VOLUME),
        Stage("load", weights_bytes / _READ_VOLUME),
        Stage("warm-up", WARM_UP_SECONDS.get(engine, WARM_UP_SECONDS["vllm"])),
    )
    return _with_probe(stages)


def _with_probe(stages: tuple[Stage, ...]) -> Startup:
    rounded = tuple(Stage(stage.name, round(stage.seconds, 1)) for stage in stages)
    in_container = sum(stage.seconds for stage in rounded if stage.name in {"weights", "load", "warm-up"})
    warm = sum(stage.seconds for stage in rounded if stage.name in {"load", "warm-up"})
    failures = math.ceil(max(_LEAST_PROBE_SECONDS, _PROBE_MARGIN * in_container) / _PROBE_PERIOD)
    cold = sum(stage.seconds for stage in rounded)
    return Startup(rounded, round(cold, 1), round(warm, 1), _PROBE_PERIOD, failures)
