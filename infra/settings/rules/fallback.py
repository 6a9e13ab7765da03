"""Fallback chains: models that exist, of the same use, without a circle; a provider only at the end."""

from collections.abc import Iterator

from infra.settings.draft import Draft
from infra.settings.messages import Path, did_you_mean, one_of
from infra.settings.models import Engine
from infra.settings.translate import Finding


def fallback(draft: Draft) -> Iterator[Finding]:
    """Checks `gateway.fallback` and the names of `gateway.providers`."""
    chains, providers = draft.settings.gateway.fallback, draft.settings.gateway.providers
    for name in providers:
        if name in draft.names:
            yield (
                ("gateway", "providers", name),
                f"'{name}' is a model's name too; use another, such as '{name}-remote'",
            )
    for name, chain in chains.items():
        at = ("gateway", "fallback", name)
        if name not in draft.names:
            yield at, f"'{name}' is not a model; {one_of(name, draft.names)}"
        elif not chain:
            yield at, "is empty; name a model, or remove the line"
        for index, stand_in in enumerate(chain):
            yield from _entry(draft, (*at, index), name, stand_in, last=index == len(chain) - 1)
            if stand_in in chain[:index]:
                yield (*at, index), f"'{stand_in}' is in the chain already; remove it"
    yield from _circles(chains)


def _entry(draft: Draft, at: Path, name: str, stand_in: str, *, last: bool) -> Iterator[Finding]:
    known = (*draft.names, *_written_providers(draft))
    if stand_in == name:
        yield at, f"'{name}' cannot stand in for itself; remove it"
    elif stand_in not in known:
        options = [option for option in dict.fromkeys(known) if option != name]
        guess = did_you_mean(stand_in, options)
        yield (
            at,
            f"'{stand_in}' is neither a model nor a provider; use one of {', '.join(options) or '(none yet)'}{guess}",
        )
    elif stand_in not in draft.names and not last:
        yield at, f"'{stand_in}' is a provider and must come last; move it to the end"
    elif _embeds(draft, name) is not _embeds(draft, stand_in) and None not in (
        _embeds(draft, name),
        _embeds(draft, stand_in),
    ):
        yield at, f"'{stand_in}' cannot stand in for '{name}': one makes embeddings, the other text"


def _written_providers(draft: Draft) -> tuple[str, ...]:
    gateway = draft.tree.value.get("gateway")
    providers = gateway.get("providers") if isinstance(gateway, dict) else None
    return tuple(providers) if isinstance(providers, dict) else ()


def _embeds(draft: Draft, name: str) -> bool | None:
    """Whether a model makes embeddings; None where the engine does both, or is not known."""
    model = draft.settings.models.get(name)
    if model is None or model.engine is Engine.LOCAL or not draft.sound("models", name, "engine"):
        return None
    return model.engine is Engine.TEI


def _circles(chains: dict[str, tuple[str, ...]]) -> Iterator[Finding]:
    reported: set[frozenset[str]] = set()
    for start in chains:
        circle = _circle_from(start, chains)
        if circle and frozenset(circle) not in reported:
            reported.add(frozenset(circle))
            text = f"goes in a circle: {' → '.join((*circle, circle[0]))}; remove one of these steps"
            yield ("gateway", "fallback", start), text


def _circle_from(start: str, chains: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The shortest way from a model back to itself over two or more models, or nothing."""
    ways: list[tuple[str, ...]] = [(start,)]
    seen = {start}
    while ways:
        way = ways.pop(0)
        for step in chains.get(way[-1], ()):
            if step == start and len(way) > 1:
                return way
            if step not in seen:
                seen.add(step)
                ways.append((*way, step))
    return ()
