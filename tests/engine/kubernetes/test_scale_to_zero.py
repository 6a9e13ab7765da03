"""A model that sleeps, end to end: a request waits at a real gateway, is seen by a real Prometheus, starts a replica
through the real API, and is answered when the replica's address is in DNS."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from infra.components.kubernetes.scaling import Target, scaled_object
from infra.components.kubernetes.scaling_args import ServerScaling
from serving.gateway import Dns, Hold
from tests.fakes.dns import FakeDns
from tests.fakes.engine import FakeEngine
from tests.fakes.keda import Keda, ask_prometheus
from tests.gateway.harness import gateway, model
from tests.support.cluster import Behaviour, Cluster
from tests.support.cluster.workloads import deployment, pod_spec, service
from tests.support.kubernetes_api import Client
from tests.support.scraper import scraper
from tests.support.server_program import addresses

Until = Callable[..., None]
NAME = "chat.models.test"
LOAD_SECONDS = 1.5


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    """What answers at the address of the simulated pod, in which nothing runs."""
    engine = FakeEngine().start()
    yield engine
    engine.stop()


@pytest.fixture
def dns(api: Client, namespace: str, engine: FakeEngine) -> Iterator[FakeDns]:
    """The cluster's: the name has an address, and something behind it, while the Service has a ready pod."""
    dns, stop = FakeDns(), threading.Event()

    def follow() -> None:
        while not stop.wait(0.2):
            engine.healthy = bool(addresses(api, namespace, "chat"))
            dns.records[NAME] = ["127.0.0.1"] if engine.healthy else []

    dns.records[NAME] = []
    thread = threading.Thread(target=follow)
    thread.start()
    yield dns
    stop.set()
    thread.join()
    dns.stop()


def sleeper(namespace: str, prometheus: str) -> dict[str, Any]:
    """The scaler, without the signal that keeps a model awake for five minutes after its last request."""
    scaling: ServerScaling = {
        "min": 0,
        "max": 4,
        "in_flight": 8,
        "cooldown_seconds": 3,
        "polling_seconds": 1,
        "prometheus": prometheus,
    }
    made = scaled_object("chat", namespace, {}, Target("chat"), "chat", "tgi_queue_size", scaling)
    made["spec"]["triggers"] = [each for each in made["spec"]["triggers"] if each["name"] != "activity"]
    return made


def test_held_requests_wake_a_model_and_are_answered(
    cluster: Cluster, api: Client, namespace: str, dns: FakeDns, engine: FakeEngine, tmp_path: Path, until: Until
) -> None:
    api.create(deployment("chat", namespace, 0, pod_spec(), Behaviour(load=LOAD_SECONDS)))
    api.create(service("chat", namespace, clusterIP="None"))
    source = Dns(NAME, engine.port, (f"127.0.0.1:{dns.port}",), refresh=0.2)

    def replicas() -> int:
        return int(api.get("apps/v1", "Deployment", "chat", namespace)["spec"]["replicas"])

    with (
        gateway(tmp_path, model(dns=source, hold=Hold(120, 20))) as gate,
        scraper(tmp_path / "prometheus") as prometheus,
        Keda(cluster, ask_prometheus),
        ThreadPoolExecutor(4) as clients,
    ):
        prometheus.scrape([gate], {})
        api.create(sleeper(namespace, prometheus.url))
        for _ in range(2):
            assert replicas() == 0
            answers = [clients.submit(gate.chat, f"{n}", stream=True, timeout=120) for n in range(4)]
            until("a replica", lambda: replicas() == 1)
            assert [answer.result().status for answer in answers] == [200] * 4
            until("none again", lambda: replicas() == 0)
            until("no backend", lambda: gate.healthy("chat") == 0)
    assert len(engine.seen) == 8, "each request was sent once"
