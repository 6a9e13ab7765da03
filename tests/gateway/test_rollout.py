"""Two revisions of a model, and a shadow that sees what it sees."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.fakes.engine import FakeEngine
from tests.gateway.harness import gateway, model, until

Engines = Callable[[int], list[FakeEngine]]


def test_a_canary_gets_its_share_and_loses_nothing_when_it_dies(tmp_path: Path, engines: Engines) -> None:
    old, new = engines(2)
    with gateway(tmp_path, model(canary_percent=25)) as gate:
        gate.join("chat", old.port)
        assert {gate.chat(f"{i}").status for i in range(20)} == {200}, "the new revision has no backend yet"
        gate.join("chat.canary", new.port)
        before = len(old.seen)
        for i in range(200):
            assert gate.chat(f"{i}").status == 200
        assert 25 <= len(new.seen) <= 80, len(new.seen)
        assert len(old.seen) - before + len(new.seen) == 200
        new.stop()
        assert {gate.chat(f"{i}").status for i in range(40)} == {200}
        gate.install(replace(gate.spec, models=(model(),)))
        assert not gate.registry.path("chat.canary").exists()


def test_a_shadow_sees_requests_and_clients_never_see_it(tmp_path: Path, engines: Engines) -> None:
    real, shadow = engines(2)
    shadow.default = {"status": 500, "first_ms": 300}
    with gateway(tmp_path, model(shadow_percent=100)) as gate:
        gate.join("chat", real.port)
        gate.join("chat.shadow", shadow.port)
        answers = [gate.chat(f"{i}") for i in range(10)]
        assert {a.status for a in answers} == {200}
        until(lambda: len(shadow.seen) == 10, "every request is mirrored")
        asked, mirrored = (sorted(str(seen.body["messages"]) for seen in fake.seen) for fake in (real, shadow))
        assert mirrored == asked
        assert "authorization" not in {k.lower() for k in shadow.seen[0].headers}
        gate.install(replace(gate.spec, models=(model(shadow_percent=30),)))
        before = len(shadow.seen)
        for i in range(100):
            gate.chat(f"{i}")
        until(lambda: 10 <= len(shadow.seen) - before <= 55, "about thirty")
        shadow.stop()
        assert {gate.chat(f"{i}").status for i in range(10)} == {200}
