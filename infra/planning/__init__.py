"""What fits, what it costs, and the cheapest placement that keeps the objectives. Pure: knows nothing of Pulumi."""

from infra.planning.errors import PlanError, Problem
from infra.planning.plan import ModelPlan, Plan, parse_plan
from infra.planning.planner import plan

__all__ = ["ModelPlan", "Plan", "PlanError", "Problem", "parse_plan", "plan"]
