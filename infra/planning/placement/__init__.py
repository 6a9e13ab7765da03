"""Which replicas stand on which nodes, at least cost."""

from infra.planning.placement.milp import UnsolvableError
from infra.planning.placement.problem import Choice, Item, Node, Option, Problem, Solution
from infra.planning.placement.solver import solve

__all__ = ["Choice", "Item", "Node", "Option", "Problem", "Solution", "UnsolvableError", "solve"]
