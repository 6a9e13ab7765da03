"""Everything that may change while a gateway runs, under 200 open streams: none is cut."""

import time
from dataclasses import replace

from serving.gateway import Backend, Policy, Routing, Tenant, digest
from tests.drills.harness import KEY, Drill, EngineProcess, model
from tests.gateway.harness import Gateway, until
from tests.support.load import Load

STREAMS = 200
LEAVING = 40
"""Of them, streams of the model that is removed."""
NEXT_KEY = "sk-drill-canary-next-0d15ea5e"


def test_keys_replicas_weights_a_canarys_share_and_models_change_under_200_streams(drill: Drill) -> None:
    drill.secrets.append(NEXT_KEY)
    weighted = model("chat", routing=Routing(Policy.WEIGHTED), canary_percent=20)
    gate = drill.gateway(weighted, model("old"))
    one, two, three, revised = (drill.engine(name) for name in ("one", "two", "three", "revised"))
    drill.join(gate, one, two)
    drill.join(gate, revised, model="chat.canary")
    drill.join(gate, one, model="old")
    held = {"once": True, "rate": 10, "fake": {"hold": True, "gap_ms": 400}}
    with (
        drill.load(gate, name="chat-", streams=STREAMS - LEAVING, **held) as staying,
        drill.load(gate, name="old-", model="old", streams=LEAVING, seed=2, **held | {"rate": 0}) as leaving,
    ):
        staying.flowing()
        leaving.flowing()

        for digests, old_key in (((digest(KEY), digest(NEXT_KEY)), 200), ((digest(NEXT_KEY),), 401)):
            gate.install(replace(gate.spec, tenants=(Tenant("acme", digests),)))
            assert (_models(gate, KEY), _models(gate, NEXT_KEY)) == (old_key, 200)
            staying.key = leaving.key = NEXT_KEY
            _all_open(staying, leaving, "a key changed")

        drill.join(gate, three)
        _all_open(staying, leaving, "a replica came")
        gate.registry.remove("chat", f"r{two.port}")
        _all_open(staying, leaving, "a replica left that has streams")
        assert drill.journal().begun_at("two"), "it has"

        for engine, weight in ((one, 1), (three, 4)):
            gate.registry.add("chat", Backend(f"r{engine.port}", "127.0.0.1", engine.port, weight=weight))
        _served_by(drill, gate, staying, one, three)
        _all_open(staying, leaving, "weights changed")

        assert drill.journal().begun_at("revised"), "the canary has streams"
        for percent, least, most in ((50, 0.25, 0.75), (100, 1.0, 1.0), (0, 0.0, 0.0)):
            chat = replace(gate.spec.models[0], canary_percent=percent)
            gate.install(replace(gate.spec, models=(chat, *gate.spec.models[1:])))
            assert least <= _canary_share(drill, staying) <= most
            _all_open(staying, leaving, f"the canary's weight became {percent} %")

        gate.install(replace(gate.spec, models=(*gate.spec.models, model("new"))))
        drill.join(gate, two, model="new")
        with drill.load(gate, name="new-", model="new", streams=5, rate=0, once=True) as new:
            new.key = NEXT_KEY
            new.ended(streams=5)
        _all_open(staying, leaving, "a model came")
        gate.install(replace(gate.spec, models=tuple(m for m in gate.spec.models if m.name != "old")))
        assert gate.call("POST", "/v1/chat/completions", {"model": "old", "messages": []}, key=NEXT_KEY).status == 404
        _all_open(staying, leaving, "a model left that has streams")
        drill.release()
    assert staying.mine().where(lambda call: call.stream).counts() == {"whole": STREAMS - LEAVING}
    assert leaving.mine().counts() == {"whole": LEAVING}
    assert new.mine().counts() == {"whole": 5}
    assert not staying.mine().failures()


def _all_open(staying: Load, leaving: Load, after: str) -> None:
    """All streams get another token after the change."""
    calls = {call.id: call for load in (staying, leaving) for call in load.open()}
    assert len(calls) == STREAMS, f"{STREAMS - len(calls)} streams ended when {after}"
    seen = {name: call.chunks for name, call in calls.items()}
    until(lambda: all(call.chunks > seen[name] for name, call in calls.items()), f"all go on after {after}", 30)


def _models(gate: Gateway, key: str) -> int:
    return gate.call("GET", "/v1/models", key=key).status


def _canary_share(drill: Drill, load: Load) -> float:
    """Of the short calls from now on."""
    load.ended(short=5)  # the gateway's worker has the new routes by then
    now = time.monotonic()
    load.ended(short=70)
    calls = {call.id for call in load.mine().calls if not call.stream and call.sent > now and call.ended}
    return len(drill.journal().asked_at("revised") & calls) / len(calls)


def _served_by(drill: Drill, gate: Gateway, load: Load, light: EngineProcess, heavy: EngineProcess) -> None:
    """New calls follow the weights 1 and 4."""
    load.ended(short=10)  # the file is read by then
    before = {engine.name: len(drill.journal().asked_at(engine.name)) for engine in (light, heavy)}
    load.ended(short=50)
    after = {engine.name: len(drill.journal().asked_at(engine.name)) for engine in (light, heavy)}
    light_calls, heavy_calls = (after[engine.name] - before[engine.name] for engine in (light, heavy))
    assert heavy_calls > 2 * light_calls, (light_calls, heavy_calls)
