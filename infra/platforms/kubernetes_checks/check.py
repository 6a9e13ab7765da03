"""All checks of a stack against its cluster, all findings at once."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from infra.cluster import ApiError, Client, ClusterError
from infra.planning import Plan
from infra.platforms.kubernetes_checks import access, devices, namespace, quota, rights, secrets, server, storage
from infra.platforms.kubernetes_checks import standing as stood
from infra.platforms.kubernetes_checks.finding import CONTEXT, Finding, note
from infra.platforms.kubernetes_checks.standing import Standing
from infra.settings import Problem, Settings, SettingsError


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, each with file, line, value, rule and way out."""

    problems: tuple[Problem, ...]
    """What a deployment would fail on."""
    notes: tuple[Problem, ...]
    """What is worth knowing, and what could not be looked at."""
    version: str = ""
    """Of the API server; empty where none has answered."""


def check(settings: Settings, plan: Plan, environment: Mapping[str, str] = os.environ) -> Report:
    """Looks at the cluster of a stack on platform kubernetes. Reads only; takes a second or two."""
    client = access.connect(settings, environment)
    if isinstance(client, Finding):
        return _report(settings, [client], "")
    with client:
        try:
            found = list(_all(client, settings, plan))
            return _report(settings, found, client.version())
        except ClusterError as error:
            lost = Finding(
                CONTEXT, f"'{client.target.context}' stopped answering while it was checked: {error}; try again"
            )
            return _report(settings, [lost], "")


_without: ContextVar[bool] = ContextVar("without", default=False)


@contextmanager
def without_cluster() -> Iterator[None]:
    """In here `refuse` looks at nothing: what is being made are manifests, for whichever cluster."""
    token = _without.set(True)
    try:
        yield
    finally:
        _without.reset(token)


def refuse(settings: Settings, plan: Plan, environment: Mapping[str, str] = os.environ) -> tuple[Problem, ...]:
    """Raises SettingsError with all that a deployment would fail on; returns the notes where there is nothing."""
    if _without.get():
        return ()
    report = check(settings, plan, environment)
    if report.problems:
        raise SettingsError(report.problems)
    return report.notes


def standing(settings: Settings, environment: Mapping[str, str] = os.environ) -> Standing:
    """What of the stack stands already; nothing where no cluster is looked at."""
    client = None if _without.get() else access.connect(settings, environment)
    if client is None or isinstance(client, Finding):
        return Standing()
    with client:
        return stood.standing(client, settings)


def _all(client: Client, settings: Settings, plan: Plan) -> Iterator[Finding]:
    checks: Mapping[str, Callable[[], Iterator[Finding]]] = {
        "the version": lambda: server.version(client),
        "the installed kinds": lambda: server.kinds(client, settings, plan),
        "metrics": lambda: server.metrics(client, settings),
        "rights": lambda: rights.rights(client, settings, plan),
        "GPU nodes": lambda: devices.devices(client, settings, plan),
        "quotas": lambda: quota.quotas(client, settings, plan),
        "storage": lambda: storage.storage(client, settings),
        "Secrets": lambda: secrets.secrets(client, settings),
        "the namespace": lambda: namespace.namespace(client, settings),
    }
    for what, look in checks.items():
        try:
            yield from list(look())
        except ApiError as error:
            if not error.forbidden:
                raise
            yield note(CONTEXT, f"'{client.target.context}': {what} could not be looked at: {error}")


def _report(settings: Settings, found: list[Finding], version: str) -> Report:
    def placed(blocks: bool) -> tuple[Problem, ...]:
        return tuple(settings.problem(item.path, item.text) for item in found if item.blocks is blocks)

    return Report(placed(True), placed(False), version)
