"""`python -m tests.bench gateway cost|streams|replay|dynamo|all`: prints each report and writes it to build/bench/."""

import argparse
import sys
from collections.abc import Callable
from typing import Any

from tests.bench.gateway import ablation, catalogue, cost, dynamo, streams
from tests.bench.gateway.catalogue import Contender
from tests.bench.gateway.process import BenchError
from tests.bench.gateway.report import Report


def main(arguments: list[str]) -> int:
    """Runs the measurements that are named; 1 when one could not be made."""
    reports = _reports()
    parser = argparse.ArgumentParser(prog="python -m tests.bench gateway", description=__doc__)
    parser.add_argument("what", choices=[*reports, "all"])
    parser.add_argument("--only", help="gateways by name, separated by ';' (cost and streams)")
    parser.add_argument("--rounds", type=int, help="rounds of each measurement (cost and streams)")
    options = parser.parse_args(arguments)
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
        "dynamo": lambda _: dynamo.report(),
    }


def _rounds(options: argparse.Namespace) -> dict[str, Any]:
    return {"rounds": options.rounds} if options.rounds else {}


def _contenders(options: argparse.Namespace) -> tuple[Contender, ...]:
    if not options.only:
        return catalogue.ALL
    known = {c.name: c for c in catalogue.ALL}
    names = [name.strip() for name in options.only.split(";")]
    if unknown := [name for name in names if name not in known]:
        raise BenchError(f"no gateway {', '.join(unknown)}; there are {'; '.join(known)}")
    return tuple(known[name] for name in names)
