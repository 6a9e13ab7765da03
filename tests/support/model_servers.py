"""Arguments of model servers for tests."""

from typing import Any

from infra.components.kubernetes.server_args import ModelServerArgs

DIGEST = "sha256:" + "0123456789abcdef" * 4
LOADER = f"registry.test/berth/store@{DIGEST}"
GIB = 2**30


def arguments(**changes: Any) -> ModelServerArgs:
    """A small text model on one L4, two copies of it; `changes` replace whole fields, None removes one."""
    args: dict[str, Any] = {
        "namespace": "berth",
        "stack": "test",
        "model": "chat",
        "backends": "chat",
        "engine": "vllm",
        "task": "generate",
        "image": f"registry.test/vllm:1@{DIGEST}",
        "limits": {"max_input_tokens": 7168, "max_total_tokens": 8192, "max_concurrent_requests": 64},
        "options": {},
        "shards": 1,
        "gpu": gpu("l4", 1, "NVIDIA-L4"),
        "cpu_millis": 2000,
        "memory_bytes": 8 * GIB,
        "shm_bytes": GIB,
        "disk_bytes": 20 * GIB,
        "weights": {"claim": "models", "location": "qwen/qwen2.5-1.5b/989aa7980e4c", "verify_image": LOADER},
        "replicas": {"min": 2, "max": 2},
        "rollout": "surge",
        "startup": {"probe_period_seconds": 10, "probe_failures": 40, "cold_seconds": 400.0},
        "priority_class": "berth-model-server",
    }
    kept = {name: value for name, value in {**args, **changes}.items() if value is not None}
    return ModelServerArgs(**kept)  # type: ignore[typeddict-item]


def gpu(kind: str, count: int, product: str) -> dict[str, Any]:
    """GPUs of one pod."""
    return {
        "type": kind,
        "resource": "nvidia.com/gpu",
        "count": count,
        "node_labels": {"nvidia.com/gpu.product": product},
    }


def sharded(**changes: Any) -> ModelServerArgs:
    """A large text model over four GPUs of one node."""
    fields = {
        "model": "large",
        "backends": "large",
        "engine": "tgi",
        "image": f"registry.test/tgi:1@{DIGEST}",
        "shards": 4,
        "gpu": gpu("l40s", 4, "NVIDIA-L40S"),
        "cpu_millis": 8000,
        "memory_bytes": 64 * GIB,
        "shm_bytes": 8 * GIB,
        "replicas": {"min": 1, "max": 1},
        "rollout": "in_place",
    }
    return arguments(**{**fields, **changes})


def encoder(**changes: Any) -> ModelServerArgs:
    """An encoder without a GPU."""
    fields = {
        "model": "embed",
        "backends": "embed",
        "engine": "tei",
        "task": "embed",
        "image": f"registry.test/tei:cpu@{DIGEST}",
        "limits": {"max_input_tokens": 512, "max_total_tokens": 513, "max_concurrent_requests": 32},
        "gpu": None,
        "shm_bytes": 0,
        "memory_bytes": 4 * GIB,
    }
    return arguments(**{**fields, **changes})


def scaled(**changes: Any) -> ModelServerArgs:
    """A small text model that may sleep."""
    fields = {
        "replicas": {"min": 0, "max": 6},
        "scaling": {"min": 0, "max": 6, "in_flight": 48, "queue": 4},
    }
    return arguments(**{**fields, **changes})


def many_hosts(**changes: Any) -> ModelServerArgs:
    """A very large text model over two nodes of eight GPUs."""
    fields = {
        "model": "huge",
        "backends": "huge",
        "shards": 16,
        "gpu": gpu("h100", 8, "NVIDIA-H100-80GB-HBM3"),
        "cpu_millis": 32000,
        "memory_bytes": 512 * GIB,
        "shm_bytes": 16 * GIB,
        "replicas": {"min": 1, "max": 1},
        "rollout": "in_place",
        "hosts_per_replica": 2,
    }
    return arguments(**{**fields, **changes})
