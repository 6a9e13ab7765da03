"""Limits of tenants behind several gateways."""

import pytest

from serving.gateway import Tenant, digest
from serving.gateway.share import share

FREE = Tenant("free", (digest("free"),))
BOUND = Tenant("bound", (digest("bound"),), requests_per_minute=601, tokens_per_minute=100_000)


def test_each_gateway_has_its_part_rounded_up_and_no_limit_stays_none() -> None:
    free, bound = share((FREE, BOUND), 2)
    assert free == FREE
    assert (bound.requests_per_minute, bound.tokens_per_minute) == (301, 50_000)
    assert bound.key_digests == BOUND.key_digests
    assert share((FREE, BOUND), 1) == (FREE, BOUND)


@pytest.mark.parametrize("gateways", range(1, 20))
def test_together_they_give_what_was_promised_and_hardly_more(gateways: int) -> None:
    (part,) = share((BOUND,), gateways)
    assert part.requests_per_minute is not None
    assert 601 <= part.requests_per_minute * gateways < 601 + gateways


def test_a_small_limit_is_never_nothing() -> None:
    (part,) = share((Tenant("one", (digest("k"),), requests_per_minute=1),), 9)
    assert part.requests_per_minute == 1


def test_no_gateway_at_all_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        share((FREE,), 0)
