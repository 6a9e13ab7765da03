"""Words that settings share with other rooms, which may not import them from here."""

from pathlib import Path

import yaml

from infra.settings import Engine, HashOn, Policy
from infra.settings.gpus import GPU_TYPES
from serving import gateway
from serving.engines import ENGINES

REPOSITORY = Path(__file__).resolve().parents[3]


def test_gpu_types_are_those_of_the_catalogue() -> None:
    catalogue = yaml.safe_load((REPOSITORY / "infra" / "planning" / "data" / "gpus.yaml").read_text(encoding="utf-8"))
    assert set(GPU_TYPES) == set(catalogue)


def test_engines_are_those_with_an_adapter() -> None:
    assert ENGINES.keys() == set(Engine)


def test_routing_policies_are_those_of_the_gateway() -> None:
    assert [str(policy) for policy in Policy] == [str(policy) for policy in gateway.Policy]
    assert {str(on) for on in HashOn} == {str(on) for on in gateway.HashOn}
