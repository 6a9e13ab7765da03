"""Limits of tenants when several gateways stand side by side."""

from collections.abc import Iterable
from dataclasses import replace

from serving.gateway.tenant import Tenant


def share(tenants: Iterable[Tenant], gateways: int) -> tuple[Tenant, ...]:
    """The tenants as each of `gateways` replicas should know them: with its part of every limit, rounded up.

    Each gateway counts for itself. Divided by the *least* number of replicas, a tenant gets all of its limit at any
    time as long as its connections are spread; while more replicas run, at most their number over the least times the
    limit. A tenant whose requests all come over one connection gets the part of the one gateway behind it, and no
    single request may need more tokens than one part.
    """
    if gateways < 1:
        raise ValueError(f"{gateways} gateways cannot share anything; at least 1")
    return tuple(
        replace(
            tenant,
            requests_per_minute=_part(tenant.requests_per_minute, gateways),
            tokens_per_minute=_part(tenant.tokens_per_minute, gateways),
        )
        for tenant in tenants
    )


def _part(limit: int | None, gateways: int) -> int | None:
    return None if limit is None else -(-limit // gateways)
