"""What changes between the plan that is deployed and the one that is made now."""

from dataclasses import dataclass

from infra.planning.plan import ModelPlan, Plan


@dataclass(frozen=True, slots=True)
class Change:
    """One model's change."""

    model: str
    what: str
    """In a reader's words, e.g. `l4 -> l40s, 3 -> 2 replicas`."""
    hourly: float
    """Dollars an hour more; below zero is less."""


@dataclass(frozen=True, slots=True)
class Delta:
    """All changes, and the difference in cost."""

    hourly: float
    changes: tuple[Change, ...]


def delta(before: Plan, after: Plan) -> Delta:
    """Return what changes from one plan to another."""
    old = {model.model: model for model in before.models}
    new = {model.model: model for model in after.models}
    changes = []
    for name in dict.fromkeys((*old, *new)):
        what = _what(old.get(name), new.get(name))
        hourly = _hourly(new.get(name)) - _hourly(old.get(name))
        if what or round(hourly, 4):
            changes.append(Change(name, what or "price", round(hourly, 5)))
    return Delta(round(after.hourly - before.hourly, 5), tuple(changes))


def _hourly(model: ModelPlan | None) -> float:
    return model.cost.hourly if model is not None and model.cost is not None else 0.0


def _what(old: ModelPlan | None, new: ModelPlan | None) -> str:
    if old is None or new is None:
        return "new" if old is None else "gone"
    parts = []
    if _device(old) != _device(new):
        parts.append(f"{_device(old)} -> {_device(new)}")
    if old.replicas != new.replicas:
        parts.append(f"{old.replicas} -> {new.replicas} replicas")
    if old.limits != new.limits:
        parts.append("limits")
    if old.options != new.options:
        parts.append("options")
    if old.source != new.source:
        parts.append("weights")
    if old.memory_bytes != new.memory_bytes:
        parts.append("memory")
    return ", ".join(parts)


def _device(model: ModelPlan) -> str:
    if model.gpu is None:
        return "CPU"
    return f"{model.gpu.shards} x {model.gpu.type}" if model.gpu.shards > 1 else model.gpu.type
