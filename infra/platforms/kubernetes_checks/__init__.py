"""What stands between a stack and the cluster it names, found before anything is created.

`check(settings, plan)` reads the cluster and changes nothing; `make doctor` prints all of it, a preview stops at it.
"""

from infra.platforms.kubernetes_checks.access import client_of
from infra.platforms.kubernetes_checks.check import Report, check, refuse, volume_bytes, without_cluster
from infra.platforms.kubernetes_checks.nodes import nodes_to_plan_with

__all__ = ["Report", "check", "client_of", "nodes_to_plan_with", "refuse", "volume_bytes", "without_cluster"]
