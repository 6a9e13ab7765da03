"""What fits, what it costs, and the cheapest placement that keeps the objectives. Pure: knows nothing of Pulumi."""

from infra.planning.catalogue import instance_from_labels
from infra.planning.delta import Delta, delta
from infra.planning.errors import PlanError, Problem
from infra.planning.migration import Migration, migrate
from infra.planning.performance.calibration import read_calibrations
from infra.planning.plan import ModelPlan, Plan, parse_plan
from infra.planning.planner import gpu_limits, plan
from infra.planning.report import report

__all__ = [
    "Delta",
    "Migration",
    "ModelPlan",
    "Plan",
    "PlanError",
    "Problem",
    "delta",
    "gpu_limits",
    "instance_from_labels",
    "migrate",
    "parse_plan",
    "plan",
    "read_calibrations",
    "report",
]
