"""The queue of one replica beside recorded figures of Dynamo's offline replay (tests/bench/planning/dynamo_compare.py).

The whole traces, and replicas, are compared by that command; here are the first 1,500 requests of each.
"""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from infra.planning.performance.simulate import Engine, simulate
from infra.planning.performance.timing import Timing
from infra.planning.performance.workload import Workload

RECORDED = sorted((Path(__file__).parent / "dynamo").glob("*.json.gz"))


def read(file: Path) -> tuple[dict[str, Any], Workload, Engine]:
    content = json.loads(gzip.decompress(file.read_bytes()))
    work = Workload(
        [moment / 1000 for moment in content["arrivals_ms"]], content["prompts"], content["outputs"],
        blocks=content["blocks"],
    )  # fmt: skip
    engine = content["engine"]
    return content, work, Engine(**(engine | {"timing": Timing(**engine["timing"])}))


def test_all_three_traces_are_recorded() -> None:
    assert [file.name.split(".")[0] for file in RECORDED] == ["azure_code", "azure_conversation", "mooncake"]


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.name.split(".")[0])
def test_saturation_load_is_within_ten_percent(file: Path) -> None:
    content, work, engine = read(file)
    flood = simulate(work, engine, 1e4)
    assert len(work.arrivals) / flood.finished == pytest.approx(content["saturation"], rel=0.1)


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.name.split(".")[0])
def test_first_tokens_below_saturation_are_within_twenty_percent_at_five_loads(file: Path) -> None:
    content, work, engine = read(file)
    assert len(content["loads"]) == 5
    for reference in content["loads"]:
        outcome = simulate(work, engine, reference["speed"])
        assert outcome.ttft_percentile(0.5) == pytest.approx(reference["ttft_p50"], rel=0.2), reference["load"]
        assert outcome.ttft_percentile(0.95) == pytest.approx(reference["ttft_p95"], rel=0.2), reference["load"]
        assert outcome.itl_mean() == pytest.approx(reference["itl_mean"], rel=0.2), reference["load"]
