"""Pools of a cluster whose nodes Karpenter buys."""

from pathlib import Path

import pytest

from infra.planning import PlanError, plan
from infra.settings import load

STACK = """\
config:
  berth:platform: kubernetes
  berth:kubernetes:
    context: dev
    nodes:
      small: {gpu: l4, nodes: 2, karpenter: {instances: [g6.xlarge, g6.12xlarge, g5.xlarge, other.large]}}
  berth:gateway: {host: llm.example.com}
  berth:models:
    chat:
      engine: tgi
      source: hf://meta-llama/Llama-3.1-8B-Instruct@0e9e39f249a16976918f6564b8830bc894c89659
      context: 4096
      concurrency: 4
      gpu: l4
"""


def _plan(root: Path, text: str) -> object:
    (root / "stacks").mkdir()
    (root / "stacks/defaults.yaml").write_text("config: {}\n")
    (root / "stacks/Pulumi.x.yaml").write_text(text)
    return plan(load("x", root))


def test_instances_with_other_gpus_are_refused_with_their_line(tmp_path: Path) -> None:
    with pytest.raises(PlanError) as caught:
        _plan(tmp_path, STACK)
    place = "stacks/Pulumi.x.yaml:6: kubernetes.nodes.small.karpenter.instances"
    rule = "and the pool says 1 l4; take types with the pool's GPUs, or make a pool of their own"
    assert str(caught.value).splitlines() == [
        f"{place} = g6.12xlarge: has 4 l4, {rule}",
        f"{place} = g5.xlarge: has 1 a10g, {rule}",
    ]


def test_instances_of_other_clouds_are_taken_as_they_are(tmp_path: Path) -> None:
    _plan(tmp_path, STACK.replace("g6.xlarge, g6.12xlarge, g5.xlarge, ", ""))
