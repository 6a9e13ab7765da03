"""D6, D7 and D10: what the gateway is told changes under load, for better and for worse."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from serving.gateway import Backend, InstallError, Tenant, Timeouts, digest
from tests.drills.harness import TENANT, Drill, Outcome, model, until
from tests.gateway.harness import Gateway
from tests.support.load import Load

STREAMS = 20
HELD = {"hold": True, "gap_ms": 100}


def held(drill: Drill, gate: Gateway, name: str = "") -> Load:
    """Streams that are open until the drill releases them, and short calls."""
    return drill.load(gate, name=name, streams=STREAMS, once=True, fake=HELD)


def test_d6_routes_clusters_and_endpoints_change_under_open_streams(drill: Drill) -> None:
    gate = drill.gateway()
    one, two, three = (drill.engine(name) for name in ("one", "two", "three"))
    drill.join(gate, one, two)
    with held(drill, gate) as load:
        load.flowing()
        gate.install(replace(gate.spec, tenants=(TENANT, Tenant("other", (digest("k"),)))))  # routes
        load.ended(short=20)
        gate.install(replace(gate.spec, models=(model(timeouts=Timeouts(connect=1.5)), model("new"))))  # clusters
        load.ended(short=20)
        drill.join(gate, three)  # endpoints
        gate.registry.remove("chat", f"r{one.port}")
        load.ended(short=20)
        with pytest.raises(InstallError, match="would change while the gateway runs"):
            gate.install(replace(gate.spec, max_connections=4321))  # the listener
        load.ended(short=20)
        assert len(load.open()) == STREAMS
        drill.release()
    assert not load.mine().failures()


def test_d6_a_changed_listener_keeps_streams_for_the_drain_time_and_no_longer(drill: Drill) -> None:
    gate = drill.gateway(drain_seconds=3)
    drill.join(gate, drill.engine("one"), drill.engine("two"))
    with held(drill, gate, "before-") as load:
        load.flowing()
        gate.install(replace(gate.spec, max_body_bytes=5_000_000, header_seconds=4), change_listener=True)
        load.ended(short=20)
        load.ended(streams=STREAMS)
    streams = load.mine().where(lambda call: call.stream)
    assert streams.counts() == {"cut": STREAMS}
    assert not load.mine().where(lambda call: not call.stream).failures()
    drill.note("a listener change is refused unless asked for; asked for, it cuts what outlives the drain time")


def _not_json(_: dict[str, Any]) -> str:
    return "{ not json"


def _bad_routes(rds: dict[str, Any]) -> str:
    host = rds["resources"][0]["virtual_hosts"][0]
    host["typed_per_filter_config"]["berth"]["filter_config"]["value"] = {"max_body": "lots"}
    return json.dumps(rds)


def _unknown_cluster(rds: dict[str, Any]) -> str:
    for route in rds["resources"][0]["virtual_hosts"][0]["routes"]:
        if "route" in route:
            route["route"]["cluster"] = "nobody"
    return json.dumps(rds)


def _bad_cluster(cds: dict[str, Any]) -> str:
    cds["resources"][0]["connect_timeout"] = "-1s"
    return json.dumps(cds)


def _bad_endpoint(eds: dict[str, Any]) -> str:
    address = eds["resources"][0]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]
    address["socket_address"]["address"] = "not-an-address"
    return json.dumps(eds)


RDS, CDS, EDS = "http.gateway.rds.berth", "cluster_manager.cds", "cluster.chat"
PUSHES = [
    ("rds.json", RDS, _not_json),
    ("rds.json", RDS, _bad_routes),
    ("rds.json", RDS, _unknown_cluster),
    ("cds.json", CDS, _not_json),
    ("cds.json", CDS, _bad_cluster),
    ("eds/chat.json", EDS, _not_json),
    ("eds/chat.json", EDS, _bad_endpoint),
]


def test_d7_a_bad_configuration_is_refused_counted_and_changes_nothing(drill: Drill) -> None:
    gate = drill.gateway()
    drill.join(gate, drill.engine("one"), drill.engine("two"))
    with held(drill, gate) as load:
        load.flowing()
        with pytest.raises(InstallError, match="Envoy refuses"):
            gate.install(replace(gate.spec, models=(model(timeouts=Timeouts(connect=-1)),)))
        for name, source, spoil in PUSHES:
            file = gate.folder / name
            good = file.read_text()
            before = _refusals(gate, source)
            _push(file, spoil(json.loads(good)))
            until(lambda: _refusals(gate, source) > before, f"{name} {spoil.__name__} is refused and counted")  # noqa: B023
            load.ended(short=10)
            _push(file, good)
        gate.registry.add("chat", Backend("again", "127.0.0.1", drill.engine("three").port))
        until(lambda: gate.healthy("chat") == 3, "good configuration is taken again")
        drill.release()
    assert not load.mine().failures()
    drill.note(f"{len(PUSHES)} bad files and one bad install refused")


def _push(file: Path, content: str) -> None:
    draft = file.with_name(f".{file.name}.draft")
    draft.write_text(content)
    draft.replace(file)


def _refusals(gate: Gateway, source: str) -> int:
    names = "|".join(f"{source}.update_{what}" for what in ("rejected", "failure")).replace(".", r"\.")
    return sum(int(value) for value in gate.admin.stats(f"^({names})$").values())


def test_d10_a_registry_that_loses_its_file_is_not_followed(drill: Drill) -> None:
    gate = drill.gateway()
    drill.join(gate, drill.engine("one"), drill.engine("two"))
    with held(drill, gate) as load:
        load.flowing()
        file = gate.registry.path("chat")
        good = file.read_text()
        file.unlink()
        load.ended(short=30)
        file.write_text(good)
        drill.release()
    assert not load.mine().failures()
    assert Outcome.WHOLE in {call.outcome for call in load.mine().calls}
