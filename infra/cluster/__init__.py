"""A cluster that exists, read: which contexts a kubeconfig has, what the API server behind one of them holds.

Nothing here changes a cluster; that is Pulumi's alone.
"""

from infra.cluster.client import Client, Object, label_query
from infra.cluster.discovery import Resource
from infra.cluster.errors import AccessError, ApiError, ClusterError, UnreachableError
from infra.cluster.kubeconfig import Kubeconfig, Target

__all__ = [
    "AccessError",
    "ApiError",
    "Client",
    "ClusterError",
    "Kubeconfig",
    "Object",
    "Resource",
    "Target",
    "UnreachableError",
    "label_query",
]
