"""Scaling: something to scale, targets that can be reached, floors that make a difference."""

from collections.abc import Iterator

from infra.settings.draft import Draft
from infra.settings.models import Model
from infra.settings.scaling import Scaling
from infra.settings.settings import Platform
from infra.settings.translate import Finding
from infra.settings.units import format_duration

_LONGEST_STABILIZATION = 3600.0
"""Kubernetes takes no more."""


def scaling(draft: Draft) -> Iterator[Finding]:
    """What a scaler is told must be able to have an effect."""
    for name, model in draft.settings.models.items():
        if model.scaling is None or draft.platform is Platform.LOCAL:
            continue
        at = ("models", name)
        if not draft.sound(*at, "replicas"):
            continue
        if model.replicas.fixed:
            count = model.replicas.max
            text = f"says how replicas change, but they are fixed at {count}"
            yield (*at, "scaling"), f"{text}; remove it, or write replicas: {{min: {count}, max: {count * 2}}}"
            continue
        for path, text in [*_targets(model, model.scaling), *_floors(draft, name, model, model.scaling)]:
            yield (*at, "scaling", *path), text


def _targets(model: Model, given: Scaling) -> Iterator[Finding]:
    for key, value in (("in_flight", given.in_flight), ("queue", given.queue)):
        if value is not None and value > model.concurrency:
            text = f"{value:g} is more than concurrency, {model.concurrency}, so help would come when it is too late"
            yield (key,), f"{text}; write less"
    if given.cooldown is not None and model.replicas.min > 0:
        text = f"is for the stop of the last replica, but replicas.min keeps {model.replicas.min}"
        yield ("cooldown",), f"{text}; remove it, or write min: 0"
    if given.stabilization is not None and given.stabilization > _LONGEST_STABILIZATION:
        longest = format_duration(_LONGEST_STABILIZATION)
        yield ("stabilization",), f"'{format_duration(given.stabilization)}' is too long; at most {longest}"


def _floors(draft: Draft, name: str, model: Model, given: Scaling) -> Iterator[Finding]:
    least, most = model.replicas.min, model.replicas.max
    for number, floor in enumerate(given.floors):
        if not draft.sound("models", name, "scaling", "floors", number):
            continue
        at = ("floors", number)
        if floor.replicas > most:
            yield (*at, "replicas"), f"{floor.replicas} is more than replicas.max, {most}; write at most {most}"
        elif floor.replicas <= least:
            text = f"{floor.replicas} changes nothing, as replicas.min keeps {least}"
            yield (*at, "replicas"), f"{text} at all hours; write more, or remove the floor"
        if floor.start == floor.end:
            yield (*at, "end"), f"'{floor.end}' is the start, too; write when it ends"
