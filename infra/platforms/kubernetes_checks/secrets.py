"""The Secrets that the operator, or another controller, makes in the stack's namespace."""

from collections.abc import Iterator
from dataclasses import dataclass

from infra.cluster import Client
from infra.platforms.kubernetes_checks.finding import Finding, note
from infra.settings import Settings
from infra.settings.messages import Path


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One Secret that pods wait for."""

    path: Path
    name: str
    type: str
    made_by: str
    """`kubectl create secret` with this makes it."""
    or_else: str = ""
    """Who else may make it."""


def secrets(client: Client, settings: Settings) -> Iterator[Finding]:
    """Of another type, or not there yet. They live in the stack's namespace, so at the first `up` they cannot be."""
    space = settings.kubernetes.namespace
    for wanted in _wanted(settings):
        found = client.find("v1", "Secret", wanted.name, space)
        if found is None:
            command = f"kubectl --context {client.target.context} --namespace {space} create secret {wanted.made_by}"
            rule = f"'{wanted.name}' is not in namespace {space} yet, and pods wait for it"
            yield note(wanted.path, f"{rule}: {wanted.or_else}once the namespace is there: {command}")
        elif found.get("type") != wanted.type:
            text = f"'{wanted.name}' is a Secret of type {found.get('type')}; one of type {wanted.type} is needed"
            yield Finding(wanted.path, text)


def _wanted(settings: Settings) -> Iterator[_Wanted]:
    if name := settings.gateway.certificate:
        yield _Wanted(
            ("gateway", "certificate"),
            name,
            "kubernetes.io/tls",
            f"tls {name} --cert … --key …",
            or_else="have cert-manager make it, or, ",
        )
    if name := settings.kubernetes.image_pull_secret:
        yield _Wanted(
            ("kubernetes", "image_pull_secret"),
            name,
            "kubernetes.io/dockerconfigjson",
            f"docker-registry {name} --docker-server … --docker-username … --docker-password …",
        )
