"""Which parameters go with which routing policy."""

from collections.abc import Iterator

from infra.settings.draft import Draft
from infra.settings.messages import Path
from infra.settings.models import Model
from infra.settings.routing import HashOn, Policy, Routing
from infra.settings.settings import Platform
from infra.settings.translate import Finding


def routing(draft: Draft) -> Iterator[Finding]:
    """Parameters of another policy, and weights that do not fit the replicas."""
    given: list[tuple[Path, Routing, Model | None]] = [(("gateway", "routing"), draft.settings.gateway.routing, None)]
    for name, model in draft.settings.models.items():
        if model.routing:
            given.append((("models", name, "routing"), model.routing, model))
    for at, policy, owner in given:
        for path, text in _parameters(draft, at, policy):
            yield (*at, *path), text
        if policy.policy is Policy.WEIGHTED and policy.weights is not None:
            yield from _weights(draft, at, policy.weights, owner)


def _parameters(draft: Draft, at: Path, policy: Routing) -> Iterator[Finding]:
    if not draft.sound(*at, "policy"):
        return
    hashing = policy.policy is Policy.CONSISTENT_HASH
    for key in ("on", "header", "bounded_load"):
        if getattr(policy, key) is not None and not hashing:
            yield (key,), f"goes with policy consistent_hash only, not with {policy.policy}; remove it"
    if policy.weights is not None and policy.policy is not Policy.WEIGHTED:
        yield ("weights",), f"goes with policy weighted only, not with {policy.policy}; remove it"
    if hashing and draft.sound(*at, "on"):
        if policy.on is HashOn.HEADER and policy.header is None and draft.sound(*at, "header"):
            yield ("header",), "is missing; with `on: header`, name the header, such as header: x-session-id"
        if policy.on is not HashOn.HEADER and policy.header is not None:
            yield (
                ("header",),
                f"goes with `on: header` only, not with `on: {policy.on}`; write on: header, or remove it",
            )


def _weights(draft: Draft, at: Path, weights: tuple[int, ...], model: Model | None) -> Iterator[Finding]:
    way_out = "leave the weights out: each replica then weighs as much as it is fast"
    if model is None:
        yield (*at, "weights"), f"are for one model's replicas; move them to that model's routing, or {way_out}"
    elif draft.platform not in (None, Platform.LOCAL):
        yield (*at, "weights"), f"cannot be given on {draft.platform}, where replicas come and go; {way_out}"
    elif model.replicas.fixed and len(weights) != model.replicas.max and draft.sound(*at[:2], "replicas"):
        count = model.replicas.max
        yield (*at, "weights"), f"has {len(weights)} weights for {count} replicas; write {count}, or {way_out}"
