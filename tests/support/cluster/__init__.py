"""A Kubernetes cluster for tests: real API server, controllers and scheduler, simulated kubelets (kwok)."""

from tests.support.cluster.apiserver import ADMIN, CONTEXT
from tests.support.cluster.behaviour import Behaviour
from tests.support.cluster.cluster import Cluster
from tests.support.cluster.inventory import Item, inventory
from tests.support.cluster.nodes import MIXED, Nodes
from tests.support.cluster.timeline import Timeline

__all__ = ["ADMIN", "CONTEXT", "MIXED", "Behaviour", "Cluster", "Item", "Nodes", "Timeline", "inventory"]
