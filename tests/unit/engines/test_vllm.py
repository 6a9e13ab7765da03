"""The adapter of vLLM against what release 0.32 takes and exports.

`fixtures/vllm_flags.txt`: the fields of its EngineArgs and FrontendArgs, as flags. `fixtures/vllm_metric_types.txt`:
the TYPE lines of /metrics of a running server under load.
"""

from dataclasses import fields
from pathlib import Path

import pytest

from serving.engines import EngineError, Limits, Replica, Task, engine
from serving.engines.vllm_options import OPTIONS, SWITCH

FIXTURES = Path(__file__).parent / "fixtures"
FLAGS = dict(line.split() for line in (FIXTURES / "vllm_flags.txt").read_text(encoding="utf-8").splitlines())
TYPES = dict(line.split()[2:] for line in (FIXTURES / "vllm_metric_types.txt").read_text(encoding="utf-8").splitlines())
LIMITS = Limits(8191, 8192, 16, 32, max_batch_prefill_tokens=4096)
OF_THE_KIT = {"--lora-adapters": "--lora-modules", "--quantize": "--quantization"}


def replica(**changes: object) -> Replica:
    made: dict[str, object] = {"model": "chat", "weights": "/models/chat", "port": 8080, "limits": LIMITS}
    return Replica(**(made | changes))  # type: ignore[arg-type]


def test_options_are_flags_of_vllm_with_a_value_or_without() -> None:
    for name, option in OPTIONS.items():
        flag = OF_THE_KIT.get(f"--{name}", f"--{name}")
        assert FLAGS[flag] == ("switch" if option.check is SWITCH else "value"), flag


def test_what_the_kit_sets_exists() -> None:
    for name in engine("vllm").managed:
        assert f"--{name}" in FLAGS, name


@pytest.mark.parametrize("hosts", [1, 2])
def test_commands_are_flags_of_vllm(hosts: int) -> None:
    made = engine("vllm")
    wanted = replica(shards=8, hosts=hosts, options={"enforce-eager": "true", "enable-prefix-caching": "false"})
    for command in [made.container_command(wanted), *([made.worker_command(wanted)] if hosts > 1 else [])]:
        assert command[:3] == ("vllm", "serve", "/models/chat")
        given = [part for part in command if part.startswith("--")]
        assert len(given) == len(set(given))
        for flag in given:
            kind = FLAGS[flag] if flag in FLAGS else FLAGS[flag.replace("--no-", "--", 1)]
            after = command[command.index(flag) + 1 : command.index(flag) + 2]
            assert (kind == "switch") == (not after or after[0].startswith("--")), flag


def test_metrics_are_exported_under_these_names() -> None:
    names = engine("vllm").metrics(Task.GENERATE)
    kinds = {
        "running": "gauge", "waiting": "gauge", "kv_usage": "gauge", "success": "counter", "failure": "counter",
        "overload": "counter", "preemptions": "counter", "cached_prompt_tokens": "counter",
    }  # fmt: skip
    for field in fields(names):
        value = getattr(names, field.name)
        if isinstance(value, str) and value.startswith("vllm:"):
            assert TYPES[value] == kinds.get(field.name, "histogram"), value


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"limits": Limits(512, 512, 8)}, "nothing could follow"),
        ({"limits": Limits(100, 512, 64, max_batch_prefill_tokens=32)}, "must be at least max_concurrent_requests"),
        ({"options": {"enable-chunked-prefill": "false"}}, "without chunked prefill it must be at least max_total_tok"),
        ({"options": {"enable-auto-tool-choice": "true"}}, "needs 'tool-call-parser'"),
        ({"options": {"hf-overrides": "[1]"}}, "it must be a JSON object"),
        ({"options": {"hf-overrides": "{"}}, "it must be a JSON object"),
        ({"options": {"lora-adapters": "a=/models/a,organisation/b"}}, "adapters are read from the store"),
        ({"options": {"quantization": "awq"}}, "write quantize beside engine"),
        ({"options": {"quantize": "bitsandbytes"}}, "one of awq, compressed-tensors, fp8, gptq"),
        ({"options": {"cuda-memory-fraction": "0.9"}}, "another engine's; write gpu-memory-utilization"),
        ({"options": {"api-key": "secret"}}, "keys belong to the gateway"),
        ({"options": {"max-model-len": "10"}}, "set context"),
        ({"gpu": False}, "needs"),
        ({"shards": 3, "hosts": 2}, "cannot be spread evenly over 2 hosts"),
    ],
)
def test_impossible_replicas_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(EngineError, match=message):
        engine("vllm").container_command(replica(**changes))


@pytest.mark.parametrize("name", ["tgi", "tei", "local"])
def test_the_others_stay_on_one_node(name: str) -> None:
    wanted = replica(limits=Limits(500, 512, 8), shards=2, hosts=2)
    for ask in (engine(name).container_command, engine(name).worker_command):
        with pytest.raises(EngineError, match="cannot spread a replica over nodes"):
            ask(wanted)
