"""Impossible gateways are refused, every reason at once."""

import pytest

from serving.engines import Task, engine
from serving.gateway import GatewaySpec, HashOn, Model, Policy, Routing, SpecError, Tenant, digest, new_key

GOOD = Tenant("acme", (digest("k"),))


def test_every_error_is_told_at_once() -> None:
    with pytest.raises(SpecError) as error:
        GatewaySpec(
            port=1,
            admin_port=2,
            models=(
                Model("Chat"),
                Model("a", openai=("/x",)),
                Model("a", routing=Routing(Policy.ROUND_ROBIN, bounded_load=1.25)),
                Model("b", routing=Routing(Policy.CONSISTENT_HASH, bounded_load=0.5)),
                Model("c", routing=Routing(Policy.CONSISTENT_HASH, HashOn.HEADER)),
            ),
            tenants=(GOOD, Tenant("b", ()), Tenant("c", ("the key itself",)), Tenant("d", (digest("k"),))),
        )
    assert str(error.value).splitlines() == [
        "model 'Chat': a name is 1 to 64 of a-z, 0-9, '-', '.'",
        "model 'a' appears twice; give each its own name",
        "tenant 'b' has 0 keys; it may have one or two",
        "tenant 'c': a key digest is 64 hexadecimal digits (SHA-256), never the key",
        "two tenants have the same key; give each its own, or their limits and logs mix",
        "model 'a': route '/x' must be 'METHOD /path'",
        "model 'a': policy round_robin takes no parameters",
        "model 'b': bounded_load is 0.5; it must be above 1",
        "model 'c': routing.header goes with on=header, and only with it",
    ]


def test_routes_and_health_come_from_the_engine() -> None:
    model = Model.of("chat", engine("local"), Task.GENERATE)
    assert "POST /v1/chat/completions" in model.openai
    assert "POST /generate_stream" in model.native
    assert model.health.path == "/health"
    assert not any("/metrics" in line or "/docs" in line for line in model.openai + model.native)


def test_keys_are_long_and_never_shown() -> None:
    assert len(new_key()) > 40
    assert new_key() != new_key()
    assert digest("k") not in repr(GOOD)
