from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from infra.settings import SettingsError, load
from infra.settings.document import parse
from infra.settings.origins import Tree, merge
from infra.settings.show import rows

DEFAULTS = """config:
  berth:gateway:
    timeouts:
      connect: 1s
      idle: 30s
  berth:monitoring:
    retention: 7d
"""
STACK = """config:
  berth:platform: aws
  berth:aws: {region: us-east-1, gpus: [l4]}
  berth:gateway:
    host: llm.example.com
    timeouts: {idle: 45s}
  berth:models:
    chat:
      engine: tgi
      source: hf://meta-llama/Llama-3.1-8B-Instruct@0e9e39f249a16976918f6564b8830bc894c89659
      context: 8192
      replicas: 2
"""
INTEGERS = st.integers(-(10**18), 10**18)
"""Of more digits than 19 the reader makes a float, as the engine does."""
TREES = st.recursive(
    INTEGERS | st.booleans() | st.lists(INTEGERS, max_size=3),
    lambda below: st.dictionaries(st.sampled_from("abc"), below, max_size=3),
    max_leaves=12,
)


def test_mappings_merge_and_lists_replace(root: Callable[..., Path]) -> None:
    defaults = DEFAULTS + "  berth:aws: {region: eu-central-1, gpus: [l4, a10g], quotas: {l4: 4}}\n"
    settings = load("x", root(defaults=defaults, x=STACK))
    assert settings.gateway.timeouts.connect == 1
    assert settings.gateway.timeouts.idle == 45
    assert settings.aws is not None
    assert settings.aws.region == "us-east-1"
    assert settings.aws.gpus == ("l4",)
    assert dict(settings.aws.quotas) == {"l4": 4}


def test_every_value_knows_its_line(root: Callable[..., Path]) -> None:
    origins = {path: origin for path, _, origin in rows(load("x", root(defaults=DEFAULTS, x=STACK)))}
    assert origins["gateway.timeouts.connect"] == "stacks/defaults.yaml:4"
    assert origins["gateway.timeouts.idle"] == "stacks/Pulumi.x.yaml:6"
    assert origins["gateway.timeouts.stream"] == "built in"
    assert origins["monitoring.retention"] == "stacks/defaults.yaml:7"
    assert origins["models.chat.context"] == "stacks/Pulumi.x.yaml:11"
    assert origins["models.chat.replicas.min"] == "stacks/Pulumi.x.yaml:12"
    assert origins["models.chat.replicas.max"] == "stacks/Pulumi.x.yaml:12"
    assert origins["models.chat.concurrency"] == "built in"
    assert origins["aws.gpus"] == "stacks/Pulumi.x.yaml:3"


def test_defaults_may_speak_of_other_platforms(root: Callable[..., Path]) -> None:
    defaults = "config:\n  berth:local: {ports: 22000-22100}\n  berth:gateway: {port: 8081}\n"
    assert load("x", root(defaults=defaults, x=STACK)).stack == "x"


def test_defaults_cannot_hold_secrets(root: Callable[..., Path]) -> None:
    cipher = "v1:MTIzNDU2Nzg5MDEy:YWJjZGVmZ2hpamtsbW5vcA=="
    folder = root(defaults=f"config:\n  berth:monitoring:\n    alerts: {{webhook: {{secure: {cipher}}}}}\n", x=STACK)
    with pytest.raises(SettingsError) as caught:
        load("x", folder)
    (error,) = caught.value.errors
    assert error == (
        "stacks/defaults.yaml:3: monitoring.alerts.webhook: is encrypted, but defaults are read by all stacks and each "
        "has its own key; move it to the stack files"
    )


def tree_of(value: object, file: str) -> Tree:
    tree, problems = parse(yaml.safe_dump(value), file)
    assert not problems
    return tree


def naive(low: object, high: object) -> object:
    if not (isinstance(low, dict) and isinstance(high, dict)):
        return high
    return {key: naive(low.get(key), high.get(key, low.get(key))) if key in high else low[key] for key in low | high}


@given(st.dictionaries(st.sampled_from("abc"), TREES), st.dictionaries(st.sampled_from("abc"), TREES))
def test_merge_agrees_with_its_definition(low: dict[str, object], high: dict[str, object]) -> None:
    merged = merge(tree_of(low, "low"), tree_of(high, "high"))
    assert merged.value == naive(low, high)


@given(st.dictionaries(st.sampled_from("abc"), TREES), st.dictionaries(st.sampled_from("abc"), TREES))
def test_merged_values_keep_the_origin_of_the_file_they_came_from(
    low: dict[str, object], high: dict[str, object]
) -> None:
    lower, upper = tree_of(low, "low"), tree_of(high, "high")
    merged = merge(lower, upper)
    for path, origin in merged.origins.items():
        value = merged.value
        for part in path:
            value = value[part]
        assert origin == (upper if origin.file == "high" else lower).origins[path]
        if not isinstance(value, dict):
            source = upper if origin.file == "high" else lower
            there = source.value
            for part in path:
                there = there[part]
            assert there == value
