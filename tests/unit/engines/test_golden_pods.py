"""What each adapter gives a pod, whole. `UPDATE_GOLDEN=1 pytest tests/unit/engines`, then read the difference."""

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest

from images.lock import read
from infra.planning.catalogue import gpus
from serving.engines import CONTAINER_PORT, ENGINES, EngineError, Limits, Replica, engine

GOLDEN = Path(__file__).parent / "golden"
TEXT = Limits(8191, 8192, 16, 32, max_batch_prefill_tokens=4096)
VECTORS = Limits(512, 512, 16, 32, max_batch_prefill_tokens=2048)
KIT = Limits(511, 512, 8, 16)


def replica(limits: Limits, **changes: object) -> Replica:
    fields: dict[str, object] = {"model": "chat", "weights": "/models/chat/0e9e39f2", "port": CONTAINER_PORT}
    return Replica(limits=limits, **(fields | changes))  # type: ignore[arg-type]


REPLICAS: dict[str, tuple[str, float | None, Replica]] = {
    "tgi": ("tgi", 8.9, replica(TEXT, options={"dtype": "bfloat16"})),
    "tgi_four_gpus_quantised": (
        "tgi",
        8.6,
        replica(TEXT, shards=4, options={"quantize": "bitsandbytes", "kv-cache-dtype": "fp8_e4m3fn", "speculate": "3"}),
    ),
    "vllm": ("vllm", 8.9, replica(TEXT, options={"dtype": "bfloat16"})),
    "vllm_four_gpus_options": (
        "vllm",
        9.0,
        replica(
            TEXT,
            shards=4,
            options={
                "enable-prefix-caching": "false",
                "enforce-eager": "true",
                "gpu-memory-utilization": "0.85",
                "kv-cache-dtype": "fp8_e4m3fn",
                "lora-adapters": "legal=/models/legal,medical=/models/medical",
                "max-loras": "2",
                "quantize": "fp8",
                "speculative-config": '{"method": "ngram", "num_speculative_tokens": 3}',
            },
        ),
    ),
    "vllm_stored_quantised": ("vllm", 8.0, replica(TEXT, options={"quantize": "awq"})),
    "vllm_two_nodes": ("vllm", 9.0, replica(TEXT, shards=16, hosts=2)),
    "tei": ("tei", 8.9, replica(VECTORS, options={"dtype": "float16", "pooling": "cls"})),
    "tei_cpu": ("tei", None, replica(VECTORS, gpu=False, options={"max-client-batch-size": "8"})),
    "local": ("local", None, replica(KIT, gpu=False, options={"workers": "2"})),
}


@pytest.mark.parametrize("case", REPLICAS)
def test_pod_of_an_engine_is_as_reviewed(case: str) -> None:
    name, capability, wanted = REPLICAS[case]
    made = engine(name)
    found = {
        "image": made.image(capability),
        "command": made.container_command(wanted),
        "worker_command": made.worker_command(wanted) if wanted.hosts > 1 else (),
        "env": made.container_env(wanted),
        "container": {
            "user": made.container.user,
            "writable": made.container.writable,
            "shm": made.container.shm,
        },
        "probes": asdict(made.probes),
        "drain": asdict(made.drain),
    }
    text = json.dumps(found, indent=1) + "\n"
    file = GOLDEN / f"{case}.json"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text, encoding="utf-8")
    assert file.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("case", REPLICAS)
def test_pods_write_only_where_they_may_and_tell_nobody(case: str) -> None:
    name, _, wanted = REPLICAS[case]
    made = engine(name)
    env = made.container_env(wanted)
    assert list(env) == sorted(env)
    for variable in made.container.env:
        value = env[variable]
        assert not value.startswith("/") or value.startswith(made.container.writable), variable
    assert env["HOME"] in made.container.writable
    assert made.container.user > 0
    if name != "local":
        assert env["HF_HUB_OFFLINE"] == "1"
    quiet = {"tgi": {"USAGE_STATS": "off"}, "vllm": {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}}
    assert quiet.get(name, {}).items() <= env.items()


def test_images_follow_the_compute_capability() -> None:
    tei = engine("tei")
    assert [tei.image(each) for each in (None, 7.5, 8.6, 12.0)] == ["tei-cpu", "tei-75", "tei-86", "tei-120"]
    with pytest.raises(EngineError, match=r"no image for compute capability 10\.3; it has for 7\.5, 8\.0, .* and CPUs"):
        tei.image(10.3)
    for name in ("tgi", "vllm"):
        assert engine(name).image(7.5) == name
        for weak in (None, 7.0):
            with pytest.raises(EngineError, match=r"needs an NVIDIA GPU of compute capability 7\.5 or more"):
                engine(name).image(weak)
    assert engine("local").image(None) == engine("local").image(9.0) == "local"


def test_images_are_locked_at_the_releases_that_the_adapters_were_written_for() -> None:
    """A new tag is a reason to read the engine's flags, metrics and statuses again, not only to pull."""
    pins = read()
    tei = {f"tei-{each}": tag for each, tag in (("cpu", "cpu-1.9"), ("75", "turing-1.9"), ("90", "hopper-1.9"))}
    for name, tag in {"tgi": "3.3.7", "vllm": "v0.32.0", **tei}.items():
        assert pins[name].tag == tag
    capabilities = {gpu.capability for gpu in gpus().values() if not gpu.neuron}
    for made in ENGINES.values():
        for capability in (None, *sorted(capabilities)):
            try:
                assert made.image(capability) in pins
            except EngineError:
                assert made.name != "local"
