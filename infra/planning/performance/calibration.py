"""Measured step times in place of default factors. A bench job writes one file a model, device and engine."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from infra.planning.errors import PlanError, problem
from infra.planning.performance.timing import Efficiency, Placement, roofline

_LEAST_POINTS = 3


@dataclass(frozen=True, slots=True)
class Point:
    """One measured step."""

    kind: str
    """prefill: `tokens` prompt tokens; decode: one token each of `tokens` requests with `kv_tokens` of context."""
    tokens: int
    seconds: float
    kv_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Calibration:
    """Measurements of one model on one kind of device."""

    model: str
    """Source name, e.g. meta-llama/Llama-3.1-8B-Instruct."""
    gpu: str
    shards: int
    engine: str
    date: str
    points: tuple[Point, ...]

    def efficiency(self, placed: Placement) -> Efficiency:
        """Return the factors that fit the points best, with the worst relative miss as the stated error.

        Step times are linear in the step's own time and in the inverses of both factors: non-negative least squares on
        relative misses.
        """
        # Imported here: half a second that a local plan need not wait.
        from scipy.optimize import nnls  # noqa: PLC0415

        unit = Efficiency(memory=1.0, compute=1.0, step_seconds=0.0)
        ideal = roofline(replace(placed, efficiency=unit))
        rows, times = [], []
        for point in self.points:
            if point.kind == "prefill":
                # Half of the pass attends to earlier tokens on average.
                row = [1.0, point.tokens * (ideal.prefill_token + point.tokens / 2 * ideal.prefill_pair), 0.0]
            else:
                row = [1.0, 0.0, ideal.decode(point.tokens, point.kv_tokens)]
            rows.append([value / point.seconds for value in row])
            times.append(1.0)
        (step, compute, memory), _ = nnls(np.array(rows), np.array(times))
        fitted = Efficiency(
            memory=1.0 / memory if memory else unit.memory,
            compute=1.0 / compute if compute else unit.compute,
            step_seconds=float(step),
            origin=f"measured {self.date}",
        )
        misses = [abs(float(np.dot(row, (step, compute, memory))) - 1.0) for row in rows]
        return replace(fitted, error=round(max(misses), 3))


def read_calibrations(folder: Path) -> list[Calibration]:
    """Return all calibration files (*.json) of a folder. Raises PlanError that names the file and what is wrong."""
    return [_read(file) for file in sorted(folder.glob("*.json"))]


def _read(file: Path) -> Calibration:
    try:
        content = json.loads(file.read_text())
        points = tuple(
            Point(point["kind"], int(point["tokens"]), float(point["seconds"]), int(point.get("kv_tokens", 0)))
            for point in content["points"]
        )
        read = Calibration(
            content["model"], content["gpu"], int(content["shards"]), content["engine"], content["date"], points
        )
    except (ValueError, KeyError, TypeError) as error:
        raise PlanError(
            [problem(str(file), None, f"is not a calibration ({error!r})", "measure again with the bench job")]
        ) from error
    kinds = {point.kind for point in points}
    if len(points) < _LEAST_POINTS or kinds != {"prefill", "decode"} or any(point.seconds <= 0 for point in points):
        raise PlanError(
            [
                problem(
                    str(file),
                    f"{len(points)} points",
                    "is too little to fit three factors",
                    f"give {_LEAST_POINTS} or more of both kinds, prefill and decode, with seconds above 0",
                )
            ]
        )
    return read
