"""Replicas of the gateway, timeouts in their order, and holds that can end."""

from collections.abc import Iterator

from infra.settings.draft import Draft
from infra.settings.translate import Finding
from infra.settings.units import format_duration

_ORDER = (("connect", "first_token"), ("first_token", "stream"), ("idle", "stream"))


def gateway(draft: Draft) -> Iterator[Finding]:
    """Limits of a stage must not be longer than those of what holds it; a model at zero needs requests that wait."""
    replicas = draft.settings.gateway.replicas
    if replicas.min == 0:
        yield (
            ("gateway", "replicas"),
            "starts from 0, but only a running gateway can wake anything; write min: 1 or more",
        )
    elif replicas.min > replicas.max:
        yield ("gateway", "replicas"), f"has min {replicas.min} above max {replicas.max}; write min ≤ max"
    timeouts = draft.settings.gateway.timeouts
    at = ("gateway", "timeouts")
    for inner, outer in _ORDER:
        short, long = getattr(timeouts, inner), getattr(timeouts, outer)
        if short > long and draft.sound(*at, inner) and draft.sound(*at, outer):
            text = (
                f"'{format_duration(short)}' is longer than {outer}, {format_duration(long)}; write {inner} ≤ {outer}"
            )
            yield (*at, inner), text
    if draft.settings.gateway.hold.requests == 0:
        for name, model in draft.settings.models.items():
            if model.replicas.min == 0 and draft.sound("models", name, "replicas"):
                why = "starts from 0, but gateway.hold.requests is 0, so nothing would ever start it"
                yield ("models", name, "replicas"), f"{why}; write min: 1, or hold requests"
