"""Prints the plan of a stack: `python -m infra.planning STACK [--json]`."""

import argparse
import sys
from pathlib import Path

from infra.planning.delta import delta
from infra.planning.errors import PlanError
from infra.planning.migration import migrate
from infra.planning.performance.calibration import read_calibrations
from infra.planning.plan import parse_plan
from infra.planning.planner import gpu_limits, plan
from infra.planning.report import report
from infra.settings import SettingsError, load

CALIBRATION = "calibration"
"""Folder of measurement files, under the root."""


def main(arguments: list[str] | None = None) -> int:
    """Plan a stack and print it; 1 and every problem on standard error when there is no plan."""
    parser = argparse.ArgumentParser(prog="python -m infra.planning", description=__doc__)
    parser.add_argument("stack", help="as in stacks/Pulumi.STACK.yaml")
    parser.add_argument("--json", action="store_true", help="the plan as JSON")
    parser.add_argument(
        "--previous", type=Path, metavar="FILE", help="the deployed plan, to compare with and stay near"
    )
    parser.add_argument("--store", type=Path, metavar="DIR", help="a model store, for the shapes of staged models")
    parser.add_argument("--root", type=Path, default=Path(), metavar="DIR", help="the folder that holds stacks/")
    parser.add_argument("--calibration", type=Path, metavar="DIR", help=f"measurement files (default: {CALIBRATION}/)")
    options = parser.parse_args(arguments)
    try:
        settings = load(options.stack, options.root)
        previous = parse_plan(options.previous.read_text()) if options.previous else None
        measured = read_calibrations(options.calibration or options.root / CALIBRATION)
        made = plan(settings, previous=previous, store=options.store, calibrations=measured)
        change = delta(previous, made) if previous else None
        steps = migrate(previous, made, gpu_limits(settings)) if previous and made.platform != "local" else None
    except (SettingsError, PlanError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{made.to_json(indent=2)}\n" if options.json else report(made, change=change, migration=steps))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
