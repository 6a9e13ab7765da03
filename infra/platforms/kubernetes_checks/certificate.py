"""The Secret with the gateway's certificate, which the operator, or cert-manager, makes."""

from collections.abc import Iterator

from infra.cluster import Client
from infra.platforms.kubernetes_checks.finding import Finding, note
from infra.settings import Settings

_PATH = ("gateway", "certificate")
_TYPE = "kubernetes.io/tls"


def certificate(client: Client, settings: Settings) -> Iterator[Finding]:
    """Of another type, or not there yet. It lives in the stack's namespace, so at the first `up` it cannot be."""
    name, space = settings.gateway.certificate, settings.kubernetes.namespace
    if not name:
        return
    found = client.find("v1", "Secret", name, space)
    if found is None:
        command = (
            f"kubectl --context {client.target.context} --namespace {space} create secret tls {name} --cert … --key …"
        )
        rule = f"'{name}' is not in namespace {space} yet, and the gateway's pods wait for it"
        yield note(_PATH, f"{rule}: have cert-manager make it, or, once the namespace is there: {command}")
    elif found.get("type") != _TYPE:
        yield Finding(_PATH, f"'{name}' is a Secret of type {found.get('type')}; one of type {_TYPE} is needed")
