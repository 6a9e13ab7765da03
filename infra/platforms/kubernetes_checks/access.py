"""The context that a stack names, and nothing but it."""

import os
from collections.abc import Mapping

from infra.cluster import AccessError, ApiError, Client, ClusterError, Kubeconfig
from infra.platforms.kubernetes_checks.finding import CONTEXT, Finding
from infra.settings import Settings
from infra.settings.messages import did_you_mean


def client_of(settings: Settings, environment: Mapping[str, str] = os.environ) -> Client:
    """Reads the stack's cluster. Raises ClusterError where the kubeconfig does not lead to one."""
    return Client(Kubeconfig.load(environment).target(settings.kubernetes.context or ""), environment)


def connect(settings: Settings, environment: Mapping[str, str]) -> Client | Finding:
    """A client of a server that has answered and knows the user, or why there is none."""
    context = settings.kubernetes.context or ""
    try:
        kubeconfig = Kubeconfig.load(environment)
    except AccessError as error:
        return Finding(CONTEXT, f"cannot be looked up: {error}; mend the file or set KUBECONFIG to another")
    if context not in kubeconfig.contexts:
        return Finding(CONTEXT, _unknown(context, kubeconfig))
    try:
        client = Client(kubeconfig.target(context), environment)
        _greet(client, settings.kubernetes.namespace)
    except ApiError as error:
        return Finding(CONTEXT, _refused(context, kubeconfig, error))
    except AccessError as error:
        return Finding(CONTEXT, f"'{context}' cannot be used: {error}")
    except ClusterError as error:
        way_out = "start it, join its network (VPN, tunnel), or correct the server in the kubeconfig"
        return Finding(CONTEXT, f"'{context}' leads to an API server that cannot be reached: {error}; {way_out}")
    return client


def _greet(client: Client, namespace: str) -> None:
    """Raises ClusterError, with the connection closed, where the server does not answer or does not know the user."""
    try:
        client.version()
        # The version is told to everyone on many clusters; this is not.
        client.may("get", "", "pods", namespace)
    except ClusterError:
        client.close()
        raise


def _unknown(context: str, kubeconfig: Kubeconfig) -> str:
    if not kubeconfig.files:
        where = f"there is no kubeconfig at {kubeconfig.place}"
        return f"'{context}' cannot be found: {where}; set KUBECONFIG, or write one with the tool of your cluster"
    there = ", ".join(sorted(kubeconfig.contexts)) or "none"
    meant = did_you_mean(context, kubeconfig.contexts)
    rule = f"is not a context of the kubeconfig {kubeconfig.place}, which has: {there}{meant}"
    return f"'{context}' {rule}; name one of these or add it (the current context is never used)"


def _refused(context: str, kubeconfig: Kubeconfig, error: ApiError) -> str:
    user = kubeconfig.contexts[context].get("user")
    if error.unknown_user:
        return f"'{context}': the API server does not accept the login of user '{user}' ({error}); log in again"
    return f"'{context}': the API server answers with {error.code}: {error}; see to the server first"
