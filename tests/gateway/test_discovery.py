"""Where backends come from: the registry's files, or a name in DNS. Losing either loses no backend."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from serving.gateway import Dns, RegistryError
from tests.fakes.dns import FakeDns
from tests.fakes.engine import FakeEngine
from tests.gateway.harness import Gateway, gateway, model, until


@pytest.fixture
def dns() -> Iterator[FakeDns]:
    dns = FakeDns()
    yield dns
    dns.stop()


def _total(gate: Gateway) -> int:
    name = "cluster.chat.membership_total"
    return int(gate.admin.stats(f"^{name}$")[name])


def test_a_name_in_dns_is_followed(tmp_path: Path, dns: FakeDns) -> None:
    fake = FakeEngine().start()
    try:
        source = Dns("chat.models.test", fake.port, (f"127.0.0.1:{dns.port}",), refresh=0.2)
        dns.records["chat.models.test"] = ["127.0.0.1"]
        with gateway(tmp_path, model(dns=source)) as gate:
            until(lambda: gate.healthy("chat") == 1, "the address is known and healthy")
            assert gate.chat().status == 200
            dns.records["chat.models.test"] = ["127.0.0.1", "127.0.0.2"]
            until(lambda: _total(gate) == 2, "the second address is known")
            assert gate.healthy("chat") == 1, "nothing answers there"
            assert [gate.chat(f"{i}").status for i in range(5)] == [200] * 5
            dns.records["chat.models.test"] = ["127.0.0.1"]
            until(lambda: _total(gate) == 1, "a name that is gone and does not answer is dropped")
    finally:
        fake.stop()


@pytest.mark.parametrize("trouble", ["empty", "unknown", "dead"])
def test_dns_trouble_loses_no_healthy_backend(tmp_path: Path, dns: FakeDns, trouble: str) -> None:
    fake = FakeEngine().start()
    try:
        source = Dns("chat.models.test", fake.port, (f"127.0.0.1:{dns.port}",), refresh=0.2)
        dns.records["chat.models.test"] = ["127.0.0.1"]
        with gateway(tmp_path, model(dns=source)) as gate:
            until(lambda: gate.healthy("chat") == 1, "the address is known and healthy")
            match trouble:
                case "empty":
                    dns.records["chat.models.test"] = []
                case "unknown":
                    del dns.records["chat.models.test"]
                case "dead":
                    dns.stop()
            if trouble != "dead":
                asked = len(dns.asked)
                until(lambda: len(dns.asked) > asked + 4, "it has been asked again")
            assert [gate.chat(f"{i}").status for i in range(5)] == [200] * 5
            assert gate.healthy("chat") == 1
    finally:
        fake.stop()


def test_the_last_good_set_survives_the_registry_and_a_restart(tmp_path: Path) -> None:
    fake = FakeEngine().start()
    try:
        with gateway(tmp_path) as gate:
            gate.join("chat", fake.port)
            with pytest.raises(RegistryError):
                gate.registry.remove("chat", f"r{fake.port}")
            file = gate.registry.path("chat")
            content = file.read_text()
            file.write_text("{ not json")
            assert [gate.chat().status for _ in range(3)] == [200] * 3
            file.unlink()
            assert [gate.chat().status for _ in range(3)] == [200] * 3
            file.write_text(content)
        with gateway(tmp_path) as gate:
            until(lambda: gate.healthy("chat") == 1, "it is there without anybody joining")
            assert gate.chat().status == 200
    finally:
        fake.stop()


def test_models_come_and_go_while_streams_run(tmp_path: Path) -> None:
    fake = FakeEngine().start()
    try:
        with gateway(tmp_path, model("chat"), model("old")) as gate:
            gate.join("chat", fake.port)
            gate.install(replace(gate.spec, models=(model("chat"), model("new"))))
            other = FakeEngine().start()
            gate.join("new", other.port)
            assert gate.chat(model="new").status == 200
            assert gate.chat(model="old").status == 404
            assert not gate.registry.path("old").exists()
            other.stop()
    finally:
        fake.stop()
