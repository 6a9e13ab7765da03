"""What stands between a stack and the cluster it names, found before anything is created.

`check(settings, plan)` reads the cluster and changes nothing; `make doctor` prints all of it, a preview stops at it.
"""

from infra.platforms.kubernetes_checks.access import client_of
from infra.platforms.kubernetes_checks.check import Report, check, refuse, standing, without_cluster
from infra.platforms.kubernetes_checks.nodes import nodes_to_plan_with
from infra.platforms.kubernetes_checks.standing import Standing

__all__ = ["Report", "Standing", "check", "client_of", "nodes_to_plan_with", "refuse", "standing", "without_cluster"]
