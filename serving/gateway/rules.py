"""What makes a gateway impossible. Each rule yields a sentence that names the value and the way out."""

import re
from collections.abc import Iterator, Sequence

from serving.gateway.model import Model
from serving.gateway.peers import ADDRESS, SECRET, Peers
from serving.gateway.provider import URL, Provider
from serving.gateway.routing import HashOn, Policy, Routing
from serving.gateway.tenant import Tenant

NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,62}[a-z0-9])?")
"""Names of models and tenants: they become file names, header values and metric labels."""
DIGEST = re.compile(r"[0-9a-f]{64}")


def errors(
    models: Sequence[Model], tenants: Sequence[Tenant], providers: Sequence[Provider], peers: Peers | None
) -> Iterator[str]:
    """Every reason why these cannot be one gateway."""
    served = [name for model in models for name in (model.name, *model.backends[1:])] + [p.name for p in providers]
    yield from _names("model", served)
    yield from _names("tenant", [t.name for t in tenants])
    yield from _keys(tenants)
    for provider in providers:
        if not URL.fullmatch(provider.url):
            yield f"provider {provider.name!r}: {provider.url!r} is not a base URL such as https://host/v1"
    yield from _peers(peers) if peers else ()
    names = {m.name for m in models}, {p.name for p in providers}
    for model in models:
        for error in (*_routes(model), *_routing(model.routing), *_fallback(model, *names), *_numbers(model)):
            yield f"model {model.name!r}: {error}"


def _names(kind: str, names: list[str]) -> Iterator[str]:
    for name in dict.fromkeys(names):
        if not NAME.fullmatch(name):
            yield f"{kind} {name!r}: a name is 1 to 64 of a-z, 0-9, '-', '.'"
        if names.count(name) > 1:
            yield f"{kind} {name!r} appears twice; give each its own name"


def _keys(tenants: Sequence[Tenant]) -> Iterator[str]:
    for tenant in tenants:
        if not 1 <= len(tenant.key_digests) <= 2:
            yield f"tenant {tenant.name!r} has {len(tenant.key_digests)} keys; it may have one or two"
        if not all(DIGEST.fullmatch(d) for d in tenant.key_digests):
            yield f"tenant {tenant.name!r}: a key digest is 64 hexadecimal digits (SHA-256), never the key"
    digests = [d for t in tenants for d in t.key_digests]
    if len(digests) != len(set(digests)):
        yield "two tenants have the same key; give each its own, or their limits and logs mix"


def _peers(peers: Peers) -> Iterator[str]:
    for address in (peers.listen, *peers.others):
        if not ADDRESS.fullmatch(address):
            yield f"peers: {address!r} is not host:port"
    if not SECRET.fullmatch(peers.key):
        yield "peers: the key must be 32 random bytes in hexadecimal (64 digits)"


def _routes(model: Model) -> Iterator[str]:
    for line in model.openai + model.native:
        if not re.fullmatch(r"[A-Z]+ /[^\s?#]*", line):
            yield f"route {line!r} must be 'METHOD /path'"


def _routing(routing: Routing) -> Iterator[str]:
    if routing != Routing(routing.policy) and routing.policy is not Policy.CONSISTENT_HASH:
        yield f"policy {routing.policy} takes no parameters"
    if routing.bounded_load is not None and not routing.bounded_load > 1:
        yield f"bounded_load is {routing.bounded_load}; it must be above 1"
    if (routing.header is not None) != (routing.on is HashOn.HEADER):
        yield "routing.header goes with on=header, and only with it"


def _fallback(model: Model, models: set[str], providers: set[str]) -> Iterator[str]:
    for i, name in enumerate(model.fallback):
        if name not in models | providers:
            yield f"fallback {name!r} is neither a model nor a provider of this gateway"
        elif name == model.name or name in model.fallback[:i]:
            yield f"fallback {name!r} would be asked twice"
        elif name in providers and i < len(model.fallback) - 1:
            yield f"fallback {name!r} is a provider and must come last: nothing after it would ever be asked"


def _numbers(model: Model) -> Iterator[str]:
    for what, percent in (("canary_percent", model.canary_percent), ("shadow_percent", model.shadow_percent)):
        if not 0 <= percent <= 100:
            yield f"{what} is {percent}; it must be from 0 to 100"
    for what, value in (("tokens.default", model.tokens.default), ("tokens.most", model.tokens.most)):
        if value is not None and value < 1:
            yield f"{what} is {value}; it must be at least 1"
