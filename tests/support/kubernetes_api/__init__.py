"""A small client of the Kubernetes API in plain dicts, on the standard library."""

from tests.support.kubernetes_api.client import JSON_PATCH, MERGE, Client, Object
from tests.support.kubernetes_api.discovery import Resource
from tests.support.kubernetes_api.errors import ApiError, NoSuchKindError, UnreachableError
from tests.support.kubernetes_api.kubeconfig import Access, KubeconfigError

__all__ = [
    "JSON_PATCH",
    "MERGE",
    "Access",
    "ApiError",
    "Client",
    "KubeconfigError",
    "NoSuchKindError",
    "Object",
    "Resource",
    "UnreachableError",
]
