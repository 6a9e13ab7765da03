"""The API server's version, and the kinds that it must have been taught or that others serve through it."""

import re
from collections.abc import Iterator

from infra.cluster import Client
from infra.planning import Plan
from infra.platforms.kubernetes_checks.finding import CONTEXT, Finding, note
from infra.platforms.kubernetes_checks.needs import FEATURES, METRICS_SERVER, MINIMUM, Extension, extensions
from infra.settings import Settings


def version(client: Client) -> Iterator[Finding]:
    """Too old for what the kit's objects use."""
    context, text = client.target.context, client.version()
    found = re.match(r"v?(\d+)\.(\d+)", text)
    if found is None:
        yield note(CONTEXT, f"'{context}' runs a version that is not understood, '{text}'; {dotted(MINIMUM)} is needed")
        return
    number = int(found[1]), int(found[2])
    if number >= MINIMUM:
        return
    lacking = "; ".join(f"{what}, since {dotted(since)}" for what, since in FEATURES.items() if since > number)
    rule = f"runs Kubernetes {text}, older than {dotted(MINIMUM)}: it does not know {lacking}"
    yield Finding(CONTEXT, f"'{context}' {rule}; upgrade the cluster")


def kinds(client: Client, settings: Settings, plan: Plan) -> Iterator[Finding]:
    """Definitions that are missing; one finding for each project, at the first value that asks for it."""
    context = client.target.context
    seen: set[Extension] = set()
    for path, why, extension in extensions(settings, plan):
        if extension in seen or client.serves(extension.api_version, extension.kind):
            continue
        seen.add(extension)
        rule = f"{why}, which needs {extension.project}: cluster '{context}' has no {extension.kind}"
        way_out = f"install it once, {_pinned(extension, context)}"
        if path[0] == "models" and path[-1] == "replicas":
            way_out += ", or make min and max equal"
        yield Finding(path, f"{rule} ({extension.api_version}); {way_out}")


def metrics(client: Client, settings: Settings) -> Iterator[Finding]:
    """Nobody measures processor time, by which the gateway scales."""
    replicas, context = settings.gateway.replicas, client.target.context
    if replicas.fixed or client.serves(METRICS_SERVER.api_version, METRICS_SERVER.kind):
        return
    measured = f"by processor time, which {METRICS_SERVER.project} measures"
    rule = f"{replicas.min} to {replicas.max} {measured}: cluster '{context}' has"
    way_out = f"install it once, {_pinned(METRICS_SERVER, context)}, or make min and max equal"
    yield note(("gateway", "replicas"), f"{rule} none, so they stay {replicas.min}; {way_out}")


def dotted(version: tuple[int, int]) -> str:
    """`1.30`."""
    return ".".join(map(str, version))


def _pinned(extension: Extension, context: str) -> str:
    return f"such as: {extension.install} --kube-context {context}"
