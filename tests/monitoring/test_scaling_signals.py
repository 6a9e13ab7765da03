"""The signals that replicas follow, from real gateways through a real Prometheus, as KEDA asks for them."""

import json
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import yaml
from aiohttp import web

from infra.components.kubernetes.scaling import Target, scaled_object
from infra.components.kubernetes.scaling_args import ScalingArgs
from infra.toolchain import ensure
from serving.gateway import Hold
from tests.fakes.engine import FakeEngine
from tests.fakes.keda.signals import SignalError, Trigger, ask_prometheus, value_of
from tests.gateway.harness import Gateway, free_port, gateway, model, until

WAITING = "tgi_queue_size"


class Engine(FakeEngine):
    """With a queue, whose length a test says."""

    waiting = 0

    async def _get(self, request: web.Request) -> web.Response:
        if request.path == "/metrics":
            return web.Response(text=f"# TYPE {WAITING} gauge\n{WAITING} {self.waiting}\n")
        return await super()._get(request)


class Signals:
    """A Prometheus that scrapes every half a second, and the triggers that ask it."""

    def __init__(self, folder: Path, port: int) -> None:
        self._targets = folder / "targets.json"
        self._port = port
        scaling: ScalingArgs = {
            "min": 0,
            "max": 6,
            "in_flight": 10,
            "queue": 4,
            "prometheus": f"http://127.0.0.1:{port}",
        }
        made = scaled_object("chat", "llm", {}, Target("chat"), "chat", WAITING, scaling)
        triggers = [Trigger.of(number, item) for number, item in enumerate(made["spec"]["triggers"])]
        self._triggers = {trigger.name: trigger for trigger in triggers}

    def scrape(self, gateways: list[Gateway], engines: list[Engine]) -> None:
        """From now on these."""
        groups = [
            {"targets": [f"127.0.0.1:{each.spec.admin_port}"], "labels": _gateway_labels()} for each in gateways
        ] + [{"targets": [f"127.0.0.1:{each.port}"], "labels": {"job": "servers", "model": "chat"}} for each in engines]
        fresh = self._targets.with_suffix(".new")
        fresh.write_text(json.dumps(groups))
        fresh.rename(self._targets)

    def value(self, name: str) -> float | None:
        """What KEDA would get; None: an error, so nothing is scaled down."""
        trigger = self._triggers[name]
        try:
            return value_of(trigger, ask_prometheus, _never())[0]
        except SignalError:
            return None

    def becomes(self, **values: float | None) -> None:
        """Waits for these values."""

        def so() -> bool:
            time.sleep(0.2)
            return {name: self.value(name) for name in values} == values

        until(so, f"{values}", 30)


def _gateway_labels() -> dict[str, str]:
    return {"job": "gateway", "__metrics_path__": "/stats/prometheus"}


def _never() -> Any:
    """The clock; no trigger here goes by it."""
    return None


@contextmanager
def prometheus(folder: Path) -> Iterator[Signals]:
    port = free_port()
    files = {"files": [str(folder / "targets.json")], "refresh_interval": "1s"}
    config = {
        "global": {"scrape_interval": "500ms", "scrape_timeout": "400ms"},
        "scrape_configs": [{"job_name": "all", "file_sd_configs": [files]}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    command = [
        str(ensure("prometheus")),
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/tsdb",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "prometheus.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        until(lambda: _ready(port), "Prometheus is ready", 30)
        yield Signals(folder, port)
    finally:
        process.terminate()
        process.wait(20)


def _ready(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.mark.thorough
def test_signals_through_a_models_sleep_work_and_loss(tmp_path: Path) -> None:
    asleep = model(hold=Hold(60, 100))
    folders = [tmp_path / name for name in ("a", "b", "prometheus")]
    for folder in folders:
        folder.mkdir()
    with (
        gateway(folders[0], asleep) as first,
        gateway(folders[1], asleep) as second,
        prometheus(folders[2]) as signals,
        ThreadPoolExecutor(16) as clients,
    ):
        assert signals.value("demand") is None, "no gateway is known yet"
        signals.scrape([first, second], [])
        signals.becomes(demand=0, queue=0, activity=0)

        slow = {"first_ms": 6000}
        waiting = [clients.submit(gate.chat, f"{n}", fake=slow) for gate in (first, second) for n in range(3)]
        signals.becomes(demand=6, queue=0, activity=0)

        engine = Engine().start()
        try:
            for gate in (first, second):
                gate.join("chat", engine.port)
            signals.scrape([first, second], [engine])
            engine.waiting = 2
            signals.becomes(demand=6, queue=2)  # the same six, now in flight
            until(lambda: (signals.value("activity") or 0) > 0, "requests were sent lately")

            # One gateway is not scraped any more: what it last said counts, since its clients are still there.
            before = time.monotonic()
            second.process.kill()
            second.killed = True
            until(lambda: signals.value("demand") == 6 and time.monotonic() - before > 2, "three of them are assumed")
            assert [answer.result().status for answer in waiting[:3]] == [200] * 3
            signals.becomes(demand=3)
            signals.scrape([first], [engine])  # its pod is gone for good
            signals.becomes(demand=0)
        finally:
            engine.stop()
        signals.becomes(queue=None)  # the engine is there and says nothing
        signals.scrape([first], [])
        signals.becomes(queue=0)  # it has been taken away

        first.process.kill()
        first.killed = True
        signals.becomes(demand=None, queue=None)
        assert signals.value("activity") is not None, "its window is longer than this test"
        for answer in waiting[3:]:
            assert answer.exception() is not None
