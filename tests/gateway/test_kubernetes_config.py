"""The gateway's files as a kubelet mounts and swaps them, under the real Envoy: what changes live cuts nothing."""

import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from serving.gateway import Hold, Tenant, digest
from tests.fakes.engine import FakeEngine
from tests.gateway.harness import HELD, KEY, TENANT, model, released, until
from tests.gateway.pod import Pod, pod

Engines = Callable[[int], list[FakeEngine]]
DONE = b"data: [DONE]\n\n"
NEW_KEY = "sk-test-acme-9876543210"


@pytest.fixture
def fake(engines: Engines) -> FakeEngine:
    return engines(1)[0]


@pytest.fixture
def gate(tmp_path: Path, fake: FakeEngine) -> Iterator[Pod]:
    with pod(tmp_path, {"chat": fake.port}) as running:
        until(lambda: running.healthy("chat") == 1, "the server is found by its name")
        yield running


def test_it_serves_and_shows_two_pages_to_others(gate: Pod) -> None:
    assert gate.chat().status == 200
    assert gate.chat(key="sk-wrong").status == 401
    port = gate.mounts.metrics_port
    ready = gate.request(port, "GET", "/ready", key=None)
    assert (ready.status, ready.body.strip()) == (200, b"LIVE")
    assert gate.request(port, "GET", "/live", key=None).status == 200
    metrics = gate.request(port, "GET", "/stats/prometheus", key=None)
    assert b"envoy_berth_" in metrics.body
    refused = [("POST", "/healthcheck/fail"), ("GET", "/config_dump"), ("POST", "/drain_listeners"), ("GET", "/stats")]
    assert [gate.request(port, method, path, key=None).status for method, path in refused] == [404] * 4
    assert gate.admin.ready()


def test_keys_rotate_while_a_stream_runs(gate: Pod, fake: FakeEngine) -> None:
    with ThreadPoolExecutor(1) as pool:
        with released(fake):
            stream = pool.submit(gate.chat, **HELD)
            until(lambda: fake.open == 1, "the stream is open")
            both = Tenant("acme", (digest(KEY), digest(NEW_KEY)))
            gate.swap_routes(replace(gate.spec, tenants=(both,)))
            until(lambda: gate.chat(key=NEW_KEY).status == 200, "the new key is accepted")
            assert gate.chat(key=KEY).status == 200
            gate.swap_routes(replace(gate.spec, tenants=(replace(TENANT, key_digests=(digest(NEW_KEY),)),)))
            until(lambda: gate.chat(key=KEY).status == 401, "the old key is refused")
            assert gate.chat(key=NEW_KEY).status == 200
            assert not stream.done(), "the stream outlived the rotation"
        assert stream.result().body.endswith(DONE)


@pytest.mark.parametrize("first", ["routes", "clusters"])
def test_a_new_model_may_arrive_in_any_order(gate: Pod, fake: FakeEngine, engines: Engines, first: str) -> None:
    (other,) = engines(1)
    gate.ports["new"] = other.port
    gate.dns.records["new.models.test"] = ["127.0.0.1"]
    spec = replace(gate.spec, models=(*gate.spec.models, model("new", hold=Hold(20, 10))))
    with ThreadPoolExecutor(2) as pool:
        with released(fake):
            stream = pool.submit(gate.chat, **HELD)
            until(lambda: fake.open == 1, "the stream is open")
            if first == "routes":
                gate.swap_routes(spec)
                until(lambda: "new" in str(gate.request(gate.spec.port, "GET", "/v1/models").json()), "it has a route")
                held = pool.submit(gate.chat, model="new")
                gauge = 'envoy_berth_requests_held{model="new"} 1'
                until(lambda: gauge in gate.admin.metrics(), "it waits")  # two active ones may be the listing above
                assert gate.chat().status == 200, "others do not"
                gate.swap_clusters(spec)
                assert held.result().status == 200
            else:
                gate.swap_clusters(spec)
                until(lambda: gate.healthy("new") == 1, "its server is known")
                assert gate.chat(model="new").status == 404
                gate.swap_routes(spec)
                until(lambda: gate.chat(model="new").status == 200, "it is served")
        assert stream.result().body.endswith(DONE)


def test_a_canary_whose_servers_are_not_known_yet_costs_nobody_a_request(gate: Pod, engines: Engines) -> None:
    (canary,) = engines(1)
    gate.ports["chat.canary"] = canary.port
    gate.dns.records["chat.canary.models.test"] = ["127.0.0.1"]
    spec = replace(gate.spec, models=(model("chat", canary_percent=50.0),))
    gate.swap_routes(spec)
    until(lambda: gate.stat("http.gateway.rds.berth.update_success") >= 2, "the routes are taken")
    assert {gate.chat(f"{i}").status for i in range(40)} == {200}
    assert not canary.seen
    gate.swap_clusters(spec)
    until(lambda: gate.healthy("chat.canary") == 1, "its servers are known")
    assert {gate.chat(f"{i}").status for i in range(40)} == {200}
    assert 8 <= len(canary.seen) <= 32


@pytest.mark.parametrize("first", ["routes", "clusters"])
def test_a_model_goes_and_its_open_streams_end_as_they_should(gate: Pod, engines: Engines, first: str) -> None:
    (other,) = engines(1)
    gate.ports["old"] = other.port
    gate.dns.records["old.models.test"] = ["127.0.0.1"]
    both = replace(gate.spec, models=(*gate.spec.models, model("old")))
    gate.swap_clusters(both)
    gate.swap_routes(both)
    until(lambda: gate.chat(model="old").status == 200, "it is there")
    with ThreadPoolExecutor(8) as pool:
        with released(other):
            streams = [pool.submit(gate.chat, f"{i}", model="old", **HELD) for i in range(8)]
            until(lambda: other.open == 8, "all are open")
            steps = {"routes": gate.swap_routes, "clusters": gate.swap_clusters}
            steps.pop(first)(gate.spec)
            next(iter(steps.values()))(gate.spec)
            until(lambda: gate.chat(model="old").status == 404, "it is gone")
            assert not any(stream.done() for stream in streams)
        assert [stream.result().body[-len(DONE) :] for stream in streams] == [DONE] * 8


def test_servers_come_and_go_by_name(gate: Pod, fake: FakeEngine) -> None:
    def total() -> int:
        return gate.stat("cluster.chat.membership_total")

    gate.dns.records["chat.models.test"] = ["127.0.0.1", "127.0.0.2"]
    until(lambda: total() == 2, "the second address is known")
    assert gate.healthy("chat") == 1
    gate.dns.records["chat.models.test"] = ["127.0.0.1"]
    until(lambda: total() == 1, "it is gone again")
    assert gate.chat().status == 200


@pytest.mark.parametrize("text", ["{ not json", '{"resources": [{"@type": "type.googleapis.com/none"}]}', ""])
def test_bad_files_are_refused_and_the_old_ones_stay(gate: Pod, text: str) -> None:
    gate.folders["routes"].swap({"rds.json": text})
    gate.folders["clusters"].swap({"cds.json": text})

    def refused(kind: str) -> bool:
        return gate.stat(f"{kind}.update_rejected") + gate.stat(f"{kind}.update_failure") > 0

    until(lambda: refused("http.gateway.rds.berth") and refused("cluster_manager.cds"), "both are refused")
    assert gate.chat().status == 200
    gate.swap_clusters(gate.spec)
    gate.swap_routes(replace(gate.spec, tenants=(Tenant("acme", (digest(NEW_KEY),)),)))
    until(lambda: gate.chat(key=NEW_KEY).status == 200, "good ones are taken again")


@pytest.mark.parametrize("bad", ["none", "routes", "clusters"])
def test_a_pod_counts_as_started_when_routes_and_clusters_are_the_kits(
    tmp_path: Path, fake: FakeEngine, bad: str
) -> None:
    """A kubelet may start a container long after the last change; Envoy calls itself ready with nothing, too."""
    broken = {"routes": {"rds.json": "{}"}, "clusters": {"cds.json": '{"resources": [{}]}'}}.get(bad)
    with pod(tmp_path, {"chat": fake.port}, mounted={bad: broken} if broken else {}) as gate:

        def started() -> bool:
            return gate.request(gate.spec.port, "GET", "/started", key=None).status == 200

        until(lambda: gate.request(gate.mounts.metrics_port, "GET", "/ready", key=None).status == 200, "Envoy is ready")
        if broken:
            assert not started()
            gate.swap_routes(gate.spec)
            gate.swap_clusters(gate.spec)
        until(started, "it counts as started")
        until(lambda: gate.chat().status == 200, "and serves")


@pytest.fixture(scope="session")
def drain_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of images/gateway, built as its image builds it."""
    target = tmp_path_factory.mktemp("drain")
    crate = Path(__file__).parents[2] / "images/gateway/drain/Cargo.toml"
    build = ["cargo", "build", "--release", "--locked", "--offline", "--quiet"]
    subprocess.run([*build, "--manifest-path", str(crate), "--target-dir", str(target)], check=True)
    return target / "release/berth-drain"


def _drain(program: Path, gate: Pod, patience: float, linger: float = 1) -> "subprocess.Popen[str]":
    options = {"--admin-port": gate.spec.admin_port, "--notice": 1, "--patience": patience, "--linger": linger}
    words = [str(word) for option in options.items() for word in option]
    return subprocess.Popen([program, *words], stderr=subprocess.PIPE, text=True)


def test_the_drain_of_the_image_waits_for_every_stream(gate: Pod, fake: FakeEngine, drain_program: Path) -> None:
    with ThreadPoolExecutor(10) as pool, released(fake):
        streams = [pool.submit(gate.chat, f"{i}", **HELD) for i in range(10)]
        until(lambda: gate.stat("http.gateway.downstream_rq_active") == 10, "all streams are open")
        with _drain(drain_program, gate, 60) as draining:
            port = gate.mounts.metrics_port
            until(lambda: gate.request(port, "GET", "/ready", key=None).status == 503, "the pod is not ready any more")
            assert gate.request(port, "GET", "/live", key=None).status == 200, "but alive"
            assert gate.chat("somebody who has not heard").headers["connection"] == "close"
            time.sleep(1.5)  # its notice is over by now
            assert draining.poll() is None, "it waits"
            fake.released = True
            _, said = draining.communicate(timeout=60)
        assert (draining.returncode, said) == (0, "")
        assert [stream.result().body[-len(DONE) :] for stream in streams] == [DONE] * 10


def test_the_drain_of_the_image_gives_up_and_says_so(gate: Pod, fake: FakeEngine, drain_program: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        with released(fake):
            stream = pool.submit(gate.chat, **HELD)
            until(lambda: gate.stat("http.gateway.downstream_rq_active") == 1, "the stream is open")
            with _drain(drain_program, gate, 0.5) as draining:
                _, said = draining.communicate(timeout=30)
        assert draining.returncode == 1
        assert "1 streams were still open" in said
        assert stream.result().body.endswith(DONE)
    gate.process.terminate()
    gate.process.wait(10)
    with _drain(drain_program, gate, 1) as draining:
        _, said = draining.communicate(timeout=30)
    assert draining.returncode == 1
    assert f"admin port {gate.spec.admin_port}" in said
