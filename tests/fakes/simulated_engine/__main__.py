"""`python -m tests.fakes.simulated_engine [--speedup X] PORT...`: one engine a port, until it is told to stop."""

import argparse
import gc

from tests.fakes.simulated_engine.engine import Pace
from tests.fakes.simulated_engine.server import run

parser = argparse.ArgumentParser(prog="python -m tests.fakes.simulated_engine")
parser.add_argument("ports", nargs="+", type=int)
parser.add_argument("--speedup", type=float, default=1.0, help="how many times as fast as the wall's its clock runs")
parser.add_argument("--prefill", type=float, default=Pace().prefill_tokens_per_second, help="tokens a second")
parser.add_argument("--blocks", type=int, default=Pace().cache_blocks, help="size of the prefix cache, in 512 tokens")
options = parser.parse_args()
gc.freeze()
run(
    options.ports,
    Pace(prefill_tokens_per_second=options.prefill, cache_blocks=options.blocks),
    options.speedup,
)
