"""Ports and memory of this machine."""

from collections.abc import Iterator

from infra.settings.draft import Draft
from infra.settings.settings import Platform
from infra.settings.translate import Finding
from infra.settings.units import format_size

KIT_PORTS = 8
"""Ports of the local range that the kit takes for itself: admin pages and metrics."""


def ports(draft: Draft) -> Iterator[Finding]:
    """No port given twice, enough of them, and memory for all servers."""
    if draft.platform is not Platform.LOCAL:
        return
    local = draft.settings.local
    gateway, prometheus = draft.settings.gateway.port, draft.settings.monitoring.prometheus_port
    ours = (("gateway", "port"), gateway), (("monitoring", "prometheus_port"), prometheus)
    sound = draft.sound("gateway", "port") and draft.sound("monitoring", "prometheus_port")
    if sound and gateway == prometheus:
        yield (
            ("monitoring", "prometheus_port"),
            f"{prometheus} is the gateway's port too; choose another, such as {gateway + 1}",
        )
    for path, port in ours:
        if port in local.ports and draft.sound(*path) and draft.sound("local", "ports"):
            yield path, f"{port} is inside local.ports, {local.ports}; choose one outside of it"
    if draft.sound("local", "ports"):
        yield from _enough_ports(draft)
    if draft.sound("local", "memory"):
        yield from _enough_memory(draft)


def _servers(draft: Draft) -> dict[str, int]:
    """Server processes of each model, canary and shadow included."""
    return {
        name: model.replicas.max + sum(extra.replicas for extra in (model.canary, model.shadow) if extra)
        for name, model in draft.settings.models.items()
        if draft.sound("models", name, "replicas")
    }


def _enough_ports(draft: Draft) -> Iterator[Finding]:
    # One more for each model: a rolling update starts the new replica before it stops the old one.
    needed = sum(_servers(draft).values()) + len(draft.names) + KIT_PORTS
    ports = draft.settings.local.ports
    if needed > len(ports):
        way_out = f"write {ports.first}-{ports.first + needed - 1}"
        yield ("local", "ports"), f"{ports} has {len(ports)} ports, but the models need {needed}; {way_out}"


def _enough_memory(draft: Draft) -> Iterator[Finding]:
    most = draft.settings.local.memory
    asked = sum(
        count * memory
        for name, count in _servers(draft).items()
        if (memory := draft.settings.models[name].memory) is not None
    )
    if most is not None and asked > most:
        text = f"'{format_size(most)}' is less than the {format_size(asked)} that the models ask for"
        yield ("local", "memory"), f"{text}; raise it, or lower their memory or replicas"
