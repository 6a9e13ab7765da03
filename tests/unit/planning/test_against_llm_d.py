"""Memory and fit beside recorded figures of llm-d-planner (tests/bench/planning/llm_d_compare.py)."""

import json
from pathlib import Path
from typing import Any

import pytest

from infra.planning.catalogue import gpus
from infra.planning.fit import Fit, fit, shard_degrees
from infra.planning.request import ModelRequest
from infra.planning.shapes import find_shape

ROWS = json.loads((Path(__file__).parent / "llm_d.json").read_text())["rows"]


def test_at_least_ten_models_are_compared() -> None:
    assert len({row["model"] for row in ROWS}) >= 10


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['model'].split('/')[1]} on {row['shards']} {row['gpu']}")
def test_memory_and_fit_agree(row: dict[str, Any]) -> None:
    shape = find_shape(row["model"], "x")
    found = fit(ModelRequest("m", "vllm", row["model"], shape, row["context"], 8), gpus()[row["gpu"]], row["shards"])
    assert shape.weights_bytes == pytest.approx(row["weights_bytes"], rel=0.001)
    assert shape.kv_bytes_per_token() == row["kv_bytes_per_token"]
    assert isinstance(found, Fit) == row["fits"]
    if isinstance(found, Fit):
        # It subtracts activations once, ours on each device; one device's worth a further shard is the difference.
        outside = 2.10 if row["shards"] > 1 else 0.27
        once = (row["shards"] - 1) * (found.activation_bytes - outside * 2**30)
        room = found.kv_tokens * found.kv_bytes_per_token
        assert room + once == pytest.approx(row["kv_left_bytes"], rel=0.01)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["model"].split("/")[1])
def test_shard_degrees_agree_among_powers_of_two(row: dict[str, Any]) -> None:
    theirs = [degree for degree in row["degrees"] if degree in {1, 2, 4, 8}]
    assert shard_degrees(find_shape(row["model"], "x"), 8) == theirs
