"""The signals that replicas follow, from real gateways through a real Prometheus, as KEDA asks for them."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web

from infra.components.kubernetes.scaling import Target, scaled_object
from infra.components.kubernetes.scaling_args import ServerScaling
from serving.gateway import Hold
from tests.fakes.engine import FakeEngine
from tests.fakes.keda.signals import SignalError, Trigger, ask_prometheus, value_of
from tests.gateway.harness import HELD, gateway, model, until
from tests.support.scraper import scraper

WAITING = "tgi_queue_size"


class Engine(FakeEngine):
    """With a queue, whose length a test says."""

    waiting = 0

    async def _get(self, request: web.Request) -> web.Response:
        if request.path == "/metrics":
            return web.Response(text=f"# TYPE {WAITING} gauge\n{WAITING} {self.waiting}\n")
        return await super()._get(request)


class Signals:
    """The triggers of a model that may sleep, which ask a Prometheus."""

    def __init__(self, url: str) -> None:
        scaling: ServerScaling = {"min": 0, "max": 6, "in_flight": 10, "queue": 4, "prometheus": url}
        made = scaled_object("chat", "llm", {}, Target("chat"), "chat", WAITING, scaling)
        triggers = [Trigger.of(number, item) for number, item in enumerate(made["spec"]["triggers"])]
        self._triggers = {trigger.name: trigger for trigger in triggers}

    def value(self, name: str) -> float | None:
        """What KEDA would get; None: an error, so nothing is scaled down."""
        try:
            return value_of(self._triggers[name], ask_prometheus, datetime.now(UTC))[0]
        except SignalError:
            return None

    def becomes(self, **values: float | None) -> None:
        """Waits for these values."""

        def so() -> bool:
            time.sleep(0.2)
            return {name: self.value(name) for name in values} == values

        until(so, f"{values}", 30)


@pytest.mark.thorough
def test_signals_through_a_models_sleep_work_and_loss(tmp_path: Path) -> None:
    asleep = model(hold=Hold(60, 100))
    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        folder.mkdir()
    with (
        gateway(folders[0], asleep) as first,
        gateway(folders[1], asleep) as second,
        scraper(tmp_path / "prometheus") as prometheus,
        ThreadPoolExecutor(16) as clients,
    ):
        signals = Signals(prometheus.url)
        assert signals.value("demand") is None, "no gateway is known yet"
        prometheus.scrape([first, second], {})
        signals.becomes(demand=0, queue=0, activity=0)

        waiting = [clients.submit(gate.chat, f"{n}", **HELD) for gate in (first, second) for n in range(3)]
        signals.becomes(demand=6, queue=0, activity=0)

        engine = Engine().start()
        try:
            for gate in (first, second):
                gate.join("chat", engine.port)
            prometheus.scrape([first, second], {"chat": [engine.port]})
            engine.waiting = 2
            signals.becomes(demand=6, queue=2)  # the same six, now in flight
            until(lambda: (signals.value("activity") or 0) > 0, "requests were sent lately")

            # One gateway is not scraped any more: what it last said counts, since its clients are still there.
            second.process.kill()
            second.killed = True
            engine.released = True
            assert [answer.result().status for answer in waiting[:3]] == [200] * 3
            signals.becomes(demand=3)
            prometheus.scrape([first], {"chat": [engine.port]})  # its pod is gone for good
            signals.becomes(demand=0)
        finally:
            engine.stop()
        signals.becomes(queue=None)  # the engine is there and says nothing
        prometheus.scrape([first], {})
        signals.becomes(queue=0)  # it has been taken away

        first.process.kill()
        first.killed = True
        signals.becomes(demand=None, queue=None)
        assert signals.value("activity") is not None, "its window is longer than this test"
        for answer in waiting[3:]:
            assert answer.exception() is not None
