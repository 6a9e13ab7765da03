"""Time to place 50 models on 12 GPU types: `python -m tests.bench.planning.placement_speed [SEEDS]`.

Each instance has nodes of 1, 4 and 8 GPUs on demand and spot, quotas that bind, half of the models allowed on spot, a
third on two nodes at least. The answer is exact (no gap is left).
"""

import statistics
import sys
import time

from infra.planning.placement import UnsolvableError, solve
from tests.unit.planning.test_placement_exact import large_problem


def main() -> int:
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    wall, used = [], []
    for seed in range(1, seeds + 1):
        problem = large_problem(50, 12, seed)
        begin, begin_used = time.perf_counter(), time.process_time()
        try:
            cost = f"${solve(problem).hourly:.2f}/h"
        except UnsolvableError:
            cost = "no room"
        wall.append(time.perf_counter() - begin)
        used.append(time.process_time() - begin_used)
        sys.stdout.write(f"seed {seed}: {wall[-1]:.2f} s, {used[-1]:.2f} s of processor, {cost}\n")
    sys.stdout.write(f"median {statistics.median(wall):.2f} s, {statistics.median(used):.2f} s of processor\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
