"""A `LocalService` on a real supervisord: what `pulumi up`, `preview`, `refresh` and `destroy` do to one process."""

import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.providers.local import ports
from infra.providers.local.daemon import Daemon
from infra.providers.local.process import ProcessError, instances
from infra.providers.local.service import LocalServiceProvider
from infra.providers.local.spec import Drain, Scrape, ServiceSpec
from tests.support.portblock import free_port

Make = Callable[..., ServiceSpec]
provider = LocalServiceProvider()


def props(daemon: Daemon, spec: ServiceSpec) -> dict[str, Any]:
    return {"stack_dir": str(daemon.root), "spec": spec.plain()}


def get(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        text: str = answer.read().decode()
        return text


def test_create_returns_once_the_process_answers(daemon: Daemon, spec: Make) -> None:
    created = provider.create(props(daemon, spec(env={"GREETING": 'a "quoted" 100% value'})))
    assert created.outs is not None
    assert created.outs["status"] == "running"
    assert get(created.outs["ports"]["http"]).startswith('one a "quoted" 100% value')


def test_create_twice_takes_over_what_an_interrupted_run_left(daemon: Daemon, spec: Make) -> None:
    first = provider.create(props(daemon, spec()))
    pid = daemon.list()[0].pid
    assert provider.create(props(daemon, spec())).outs == first.outs
    assert [program.pid for program in daemon.list()] == [pid]


def test_processes_do_not_inherit_secrets(daemon: Daemon, spec: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "not for model servers")
    created = provider.create(props(daemon, spec()))
    assert created.outs is not None
    assert "PULUMI_CONFIG_PASSPHRASE" not in get(created.outs["ports"]["http"])


def test_update_starts_the_new_process_beside_the_old_one(daemon: Daemon, spec: Make) -> None:
    old = provider.create(props(daemon, spec())).outs
    new = provider.update("echo", old, props(daemon, spec("two"))).outs
    assert old is not None
    assert new is not None
    assert old["ports"] != new["ports"]
    assert get(new["ports"]["http"]).startswith("two")
    with pytest.raises(urllib.error.URLError):
        get(old["ports"]["http"])
    assert [process.name for process in instances(daemon)] == [new["instance"]]


def test_update_that_fails_shows_the_log_and_leaves_the_old_process_serving(daemon: Daemon, spec: Make) -> None:
    old = provider.create(props(daemon, spec())).outs
    assert old is not None
    with pytest.raises(ProcessError, match="cannot open the weights"):
        provider.update("echo", old, props(daemon, spec("fail")))
    assert get(old["ports"]["http"]).startswith("one")
    assert [process.name for process in instances(daemon)] == [old["instance"]]


def test_update_without_overlap_keeps_the_port_and_falls_back(daemon: Daemon, spec: Make) -> None:
    port = free_port()
    fixed: dict[str, Any] = {"ports": {"http": port}, "overlap": False}
    old = provider.create(props(daemon, spec(**fixed))).outs
    with pytest.raises(ProcessError, match="cannot open the weights"):
        provider.update("echo", old, props(daemon, spec("fail", **fixed)))
    deadline = time.monotonic() + 20
    while not ports.holder(port).startswith("python") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert get(port).startswith("one")
    provider.update("echo", old, props(daemon, spec("two", **fixed)))
    assert get(port).startswith("two")


def test_diff_sees_a_changed_spec_and_a_process_that_is_gone(daemon: Daemon, spec: Make) -> None:
    outs = provider.create(props(daemon, spec())).outs
    assert outs is not None
    as_stored = json.loads(json.dumps(outs), parse_int=float)  # the engine knows no integers
    assert provider.diff("echo", as_stored, props(daemon, spec())).changes is False
    assert provider.diff("echo", as_stored, props(daemon, spec("two"))).changes is True
    assert provider.diff("echo", as_stored, props(daemon, spec(name="other"))).replaces == ["spec"]
    daemon.stop()
    assert provider.diff("echo", as_stored, props(daemon, spec())).changes is True
    again = provider.update("echo", outs, props(daemon, spec())).outs
    assert again is not None
    assert again["ports"] == outs["ports"]


def test_a_killed_process_comes_back_on_its_port(daemon: Daemon, spec: Make) -> None:
    outs = provider.create(props(daemon, spec())).outs
    assert outs is not None
    first = daemon.list()[0].pid
    os.kill(first, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while provider.read("echo", outs).outs.get("status") != "running" or daemon.list()[0].pid == first:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert get(outs["ports"]["http"]).startswith("one")


def test_read_tells_what_is_there(daemon: Daemon, spec: Make) -> None:
    outs = provider.create(props(daemon, spec())).outs
    assert outs is not None
    daemon.remove(outs["instance"])
    assert provider.read("echo", outs).outs["status"] == "gone"
    provider.delete("echo", outs)
    assert provider.read("echo", outs).id == ""


def test_delete_runs_the_drain_command_before_the_process_stops(daemon: Daemon, spec: Make, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    command = ("/bin/sh", "-c", f"echo {{port.http}} > {seen}")
    outs = provider.create(props(daemon, spec(drain=Drain(seconds=5, command=command)))).outs
    assert outs is not None
    provider.delete("echo", outs)
    assert seen.read_text().strip() == str(outs["ports"]["http"])
    assert daemon.list() == []


def test_prometheus_is_pointed_at_the_process_while_it_serves(daemon: Daemon, spec: Make, tmp_path: Path) -> None:
    scrape = Scrape(port="http", path="/metrics", folder=str(tmp_path / "targets"), labels={"model": "m"})
    outs = provider.create(props(daemon, spec(scrape=scrape))).outs
    assert outs is not None
    (target,) = json.loads((tmp_path / "targets/echo.json").read_text())
    assert target["targets"] == [f"127.0.0.1:{outs['ports']['http']}"]
    assert target["labels"] == {"model": "m", "__metrics_path__": "/metrics"}
    provider.delete("echo", outs)
    assert not (tmp_path / "targets/echo.json").exists()
