"""Configuration is checked by the binary first; a bad one changes nothing, a good one cuts nothing."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.toolchain import ensure
from serving.gateway import (
    Dns,
    GatewaySpec,
    HashOn,
    Hold,
    InstallError,
    Model,
    Policy,
    Priority,
    Provider,
    Routing,
    Tenant,
    Timeouts,
    Tokens,
    digest,
    validate,
)
from tests.fakes.engine import FakeEngine
from tests.gateway.harness import HELD, gateway, model, released, until

Engines = Callable[[int], list[FakeEngine]]


def test_what_envoy_refuses_is_not_installed(tmp_path: Path, engines: Engines) -> None:
    (fake,) = engines(1)
    with gateway(tmp_path) as gate:
        gate.join("chat", fake.port)
        before = {p.name: p.read_text() for p in tmp_path.glob("*.json") if p.name != "access.json"}
        bad = replace(gate.spec, models=(model(timeouts=Timeouts(connect=-1)),))
        with pytest.raises(InstallError, match="Envoy refuses the configuration"):
            gate.install(bad)
        assert {p.name: p.read_text() for p in tmp_path.glob("*.json") if p.name != "access.json"} == before
        assert gate.chat().status == 200


def test_a_bad_file_put_there_by_hand_leaves_the_old_one_serving(tmp_path: Path, engines: Engines) -> None:
    (fake,) = engines(1)
    with gateway(tmp_path) as gate:
        gate.join("chat", fake.port)
        rejected = "http.gateway.rds.berth.update_rejected"
        failed = "http.gateway.rds.berth.update_failure"
        rds = json.loads((tmp_path / "rds.json").read_text())
        host = rds["resources"][0]["virtual_hosts"][0]
        host["typed_per_filter_config"]["berth"]["filter_config"]["value"] = {"max_body": "lots"}
        for content in ("{ not json", json.dumps(rds)):
            new = tmp_path / ".new"
            new.write_text(content)
            new.replace(tmp_path / "rds.json")
            stats = lambda: gate.admin.stats(f"^({rejected}|{failed})$".replace(".", r"\."))  # noqa: E731
            until(lambda: sum(int(v) for v in stats().values()) > 0, "it is refused and counted")  # noqa: B023
            assert gate.chat().status == 200


def test_a_listener_in_use_is_not_changed(tmp_path: Path) -> None:
    with gateway(tmp_path) as gate:
        with pytest.raises(InstallError, match=r"would change while the gateway runs.*change_listener=True"):
            gate.install(replace(gate.spec, max_connections=77))
        assert gate.call("GET", "/v1/models").status == 200


def test_nothing_is_cut_by_a_change(tmp_path: Path, engines: Engines) -> None:
    fakes = engines(3)
    with gateway(tmp_path) as gate, ThreadPoolExecutor(60) as pool:
        gate.join("chat", fakes[0].port, fakes[1].port)
        with released(*fakes):
            streams = [pool.submit(gate.chat, f"{i}", **HELD) for i in range(50)]
            until(lambda: sum(f.open for f in fakes) == 50, "all streams are open")
            gate.join("chat", fakes[2].port)
            gate.registry.remove("chat", f"r{fakes[0].port}")
            gate.install(
                replace(
                    gate.spec, models=(model(), model("new")), tenants=(*gate.spec.tenants, Tenant("b", (digest("b"),)))
                )
            )
            gate.install(replace(gate.spec, models=(model(timeouts=Timeouts(idle=9), tokens=Tokens(5)),)))
            assert gate.chat().status == 200
            assert not any(stream.done() for stream in streams)
        assert [s.result().body[-14:] for s in streams] == [b"data: [DONE]\n\n"] * 50


names = st.from_regex(r"[a-z][a-z0-9-]{0,10}[a-z0-9]", fullmatch=True)
routings = st.one_of(
    st.sampled_from([p for p in Policy if p is not Policy.CONSISTENT_HASH]).map(Routing),
    st.builds(
        Routing,
        st.just(Policy.CONSISTENT_HASH),
        st.sampled_from([HashOn.SESSION, HashOn.TENANT, HashOn.CLIENT_ADDRESS]),
        bounded_load=st.none() | st.floats(1.05, 10),
    ),
    st.just(Routing(Policy.CONSISTENT_HASH, HashOn.HEADER, "x-user")),
)
times = st.floats(0.1, 10_000)
models = st.builds(
    Model,
    name=names,
    openai=st.just(("POST /v1/completions",)),
    routing=routings,
    timeouts=st.builds(Timeouts, times, times, times, times),
    hold=st.builds(Hold, st.floats(0, 1000), st.integers(0, 1000)),
    tokens=st.builds(Tokens, st.none() | st.integers(1, 100_000), st.none() | st.integers(1, 100_000)),
    dns=st.none() | st.just(Dns("a.b", 80, ("127.0.0.1:53",))),
    canary_percent=st.sampled_from([0, 0.5, 33, 100]),
    shadow_percent=st.sampled_from([0, 0.01, 100]),
    max_requests=st.integers(1, 100_000),
)
tenants = st.builds(
    lambda name, rpm, tpm, p: Tenant(name, (digest(name),), rpm, tpm, p),
    names,
    st.none() | st.integers(1, 10**7),
    st.none() | st.integers(1, 10**10),
    st.sampled_from(Priority),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(models, max_size=4, unique_by=lambda m: m.name),
    st.lists(tenants, max_size=3, unique_by=lambda t: t.name),
    st.booleans(),
)
def test_every_configuration_that_can_be_asked_for_is_one_that_envoy_takes(
    models: list[Model], tenants: list[Tenant], provider: bool
) -> None:
    providers = (Provider("zz.provider", "https://api.example.com/v1", "m", "k"),) if provider else ()
    made = tuple(replace(m, fallback=("zz.provider",) if provider else ()) for m in models)
    spec = GatewaySpec(port=80, admin_port=81, models=made, tenants=tuple(tenants), providers=providers)
    validate(spec, ensure("envoy"), ensure("picker"))
