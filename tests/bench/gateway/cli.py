"""`python -m tests.bench gateway cost|streams|replay|dynamo|all`: prints each report and writes it to build/bench/."""

import argparse
import signal
import sys
from collections.abc import Callable
from typing import Any

from tests.bench.gateway import ablation, catalogue, cost, dynamo, quality, replay, streams
from tests.bench.gateway.catalogue import Contender
from tests.bench.gateway.process import BenchError
from tests.bench.gateway.report import Report

PARTS = ("policies", "peers", "split", "unshared")
"""Of the replay."""


def main(arguments: list[str]) -> int:
    """Runs the measurements that are named; 1 when one could not be made."""
    reports = _reports()
    parser = argparse.ArgumentParser(prog="python -m tests.bench gateway", description=__doc__)
    parser.add_argument("what", choices=[*reports, "all"])
    parser.add_argument("--only", help="gateways by name, separated by ';' (cost and streams)")
    parser.add_argument("--rounds", type=int, help="rounds of each measurement (cost and streams)")
    parser.add_argument("--parts", help=f"of replay, separated by ',': {', '.join(PARTS)}; all if not said")
    parser.add_argument("--rates", help="of replay, separated by ','; 1,2 if not said")
    parser.add_argument("--speedup", type=float, default=replay.SPEEDUP, help="of replay, 20 if not said")
    options = parser.parse_args(arguments)
    # So that what was started is ended too when this is told to stop.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        for name, make in reports.items():
            if options.what in (name, "all"):
                report = make(options)
                path = report.write()
                sys.stdout.write(f"{report.text()}\n({path})\n\n")
                sys.stdout.flush()
    except BenchError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _reports() -> dict[str, Callable[[argparse.Namespace], Report]]:
    return {
        "cost": lambda o: cost.report(_contenders(o), **_rounds(o)),
        "ablation": lambda _: ablation.report(),
        "streams": lambda o: streams.report(_contenders(o), **_rounds(o)),
        "replay": lambda o: quality.report(_scope(o)),
        "dynamo": lambda _: dynamo.report(),
    }


def _rounds(options: argparse.Namespace) -> dict[str, Any]:
    return {"rounds": options.rounds} if options.rounds else {}


def _scope(options: argparse.Namespace) -> quality.Scope:
    chosen = options.parts.split(",") if options.parts else PARTS
    if unknown := {*chosen} - {*PARTS}:
        raise BenchError(f"replay has no part {', '.join(sorted(unknown))}; its parts: {', '.join(PARTS)}")
    rates = tuple(float(rate) for rate in options.rates.split(",")) if options.rates else quality.RATES
    return quality.Scope(rates=rates, speedup=options.speedup, **{part: part in chosen for part in PARTS})


def _contenders(options: argparse.Namespace) -> tuple[Contender, ...]:
    if not options.only:
        return catalogue.ALL
    known = {c.name: c for c in catalogue.ALL}
    names = [name.strip() for name in options.only.split(";")]
    if unknown := [name for name in names if name not in known]:
        raise BenchError(f"no gateway {', '.join(unknown)}; there are {'; '.join(known)}")
    return tuple(known[name] for name in names)
