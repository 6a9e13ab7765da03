"""A Gateway under Pulumi's mocks: what it asks the engine for."""

import asyncio
import json
from base64 import b64decode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, cast

import pulumi
from pulumi.runtime.mocks import MockCallArgs, MockResourceArgs, Mocks

from infra.components.kubernetes.gateway import Gateway, GatewayArgs
from infra.providers.local.gateway_config import plain
from serving.engines import Task, engine
from serving.gateway import GatewaySpec, Model, Provider, Timeouts, digest

KEY = "sk-test-0123456789-abcdefghijklmnop"
PEERS_KEY = "ab" * 32
PRIVATE: dict[str, Any] = {
    "tenants": [
        {
            "name": "acme",
            "key_digests": [digest(KEY)],
            "requests_per_minute": 601.0,
            "tokens_per_minute": 100_000.0,
            "priority": "high",
        }
    ],
    "provider_keys": {"other": "sk-provider-secret"},
}


def model(name: str = "chat", **fields: Any) -> Model:
    """A model of the local engine."""
    return Model.of(name, engine("local"), Task.GENERATE, **fields)


def spec(*models: Model, **fields: Any) -> dict[str, Any]:
    """A spec in its plain form."""
    provider = Provider("other", "https://api.example.com/v1", "m", key="")
    made = {"port": 8080, "admin_port": 0, "models": models or (model(),), "tenants": (), "providers": (provider,)}
    return plain(GatewaySpec(**{**made, **fields}))


def arguments(**changes: Any) -> GatewayArgs:
    """Arguments of an ordinary gateway."""
    args: dict[str, Any] = {
        "namespace": "berth",
        "stack": "dev",
        "image": "registry.example/gateway@sha256:" + "0" * 64,
        "spec": spec(model(timeouts=Timeouts(stream=300))),
        "private": PRIVATE,
        "hosts": {"chat": "chat.berth.svc.cluster.local"},
        "capacities": {"chat": {"concurrent_requests": 8}},
        "replicas": {"min": 2, "max": 4},
        "host": "api.example.com",
        "peers_key": pulumi.Output.secret(PEERS_KEY),
    }
    return cast(GatewayArgs, {name: value for name, value in {**args, **changes}.items() if value is not None})


class _Recorder(Mocks):
    def __init__(self) -> None:
        self.made: dict[tuple[str, str], MockResourceArgs] = {}

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        key = (args.typ.rpartition(":")[2], args.name)
        assert key not in self.made, f"{key} is registered twice"
        self.made[key] = args
        return args.name, args.inputs

    def call(self, args: MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        return {}, None


@contextmanager
def _loops() -> Iterator[None]:
    """An event loop, and one for the thread that answers for the engine: the mocks would make it and never close it."""
    loop, answering = asyncio.new_event_loop(), asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.set_default_executor(ThreadPoolExecutor(1, initializer=asyncio.set_event_loop, initargs=(answering,)))
    try:
        yield
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        asyncio.set_event_loop(None)
        loop.close()
        answering.close()


class Made:
    """What a Gateway made; `changes` are those of its arguments."""

    def __init__(self, **changes: Any) -> None:
        recorder = _Recorder()
        urls: list[str] = []

        def program() -> None:
            Gateway("gateway", arguments(**changes)).url.apply(urls.append)

        with _loops():
            pulumi.runtime.set_mocks(recorder, project="berth", stack="dev", preview=False)
            pulumi.runtime.test(program)()  # type: ignore[no-untyped-call]
        (self.url,) = urls
        self._made = recorder.made

    def __getitem__(self, key: tuple[str, str]) -> dict[str, Any]:
        """Inputs by kind and logical name."""
        return dict(self._made[key].inputs)

    def kinds(self) -> set[tuple[str, str]]:
        """Kinds and logical names of all Kubernetes objects."""
        return {key for key, made in self._made.items() if made.typ.startswith("kubernetes:")}

    def start(self) -> dict[str, Any]:
        """Bootstrap and listeners."""
        return {name: json.loads(text) for name, text in self["ConfigMap", "gateway-start"]["data"].items()}

    def clusters(self) -> dict[str, Any]:
        """Clusters by name."""
        file = json.loads(self["ConfigMap", "gateway-clusters"]["data"]["cds.json"])
        return {cluster["name"]: cluster for cluster in file["resources"]}

    def routes_text(self) -> str:
        """The routes file."""
        data = pulumi_plain(self["Secret", "gateway-routes"]["data"])
        return b64decode(data["rds.json"]).decode()

    def module(self) -> dict[str, Any]:
        """What the module reads in the routes."""
        host = json.loads(self.routes_text())["resources"][0]["virtual_hosts"][0]
        return dict(host["typed_per_filter_config"]["berth"]["filter_config"]["value"])

    def pod(self) -> dict[str, Any]:
        """Spec of the pods."""
        return dict(self["Deployment", "gateway"]["spec"]["template"]["spec"])


def pulumi_plain(value: Any) -> Any:
    """Out of the wrapper that says that it is secret."""
    return value["value"] if isinstance(value, dict) and "value" in value and len(value) == 2 else value
