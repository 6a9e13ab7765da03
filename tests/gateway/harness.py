"""A real gateway for tests: Envoy, the module, and the files, in a temporary folder."""

import http.client
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from infra.toolchain import ensure
from serving.engines import Task, engine
from serving.gateway import Admin, Backend, GatewaySpec, Model, Registry, Tenant, command, digest, environment, install
from tests.fakes.engine import FakeEngine
from tests.support.portblock import free_port

KEY = "sk-test-acme-0123456789"
TENANT = Tenant("acme", (digest(KEY),))
QUICK = {"interval": 0.2, "timeout": 5.0}
"""Health checks that a test need not wait for. A fake engine that the machine lets wait is not a dead one."""
HELD: dict[str, Any] = {"stream": True, "fake": {"hold": True, "gap_ms": 100}}
"""Asks for a stream that goes on until its engine is `released`, however long the test takes meanwhile."""


def model(name: str = "chat", task: Task = Task.GENERATE, **fields: Any) -> Model:
    """A model with the local engine's routes and quick health checks."""
    made = Model.of(name, engine("local"), task, **fields)
    return replace(made, health=replace(made.health, **QUICK))


def until(true: Callable[[], Any], what: str, seconds: float = 60) -> None:
    """Waits for something to become true."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


@contextmanager
def released(*engines: FakeEngine) -> Iterator[None]:
    """With the block end the streams that these engines hold."""
    try:
        yield
    finally:
        for engine in engines:
            engine.released = True


@dataclass
class Answer:
    """A whole answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Gateway:
    """A running gateway."""

    folder: Path
    spec: GatewaySpec
    process: "subprocess.Popen[bytes]"
    registry: Registry
    errors: Path
    log: Path = field(init=False)
    killed: bool = False
    """The test has ended the process itself."""

    def __post_init__(self) -> None:
        self.log = Path(self.spec.access_log)

    @property
    def admin(self) -> Admin:
        return Admin(self.spec.admin_port)

    def join(self, model: str, *ports: int, **metadata: Any) -> None:
        """Adds backends and waits until they take requests."""
        for port in ports:
            self.registry.add(model, Backend(f"r{port}", "127.0.0.1", port, metadata))
        n = len(self.registry.backends(model))
        until(lambda: self.healthy(model) == n, f"{n} healthy backends of {model}")

    def healthy(self, model: str) -> int:
        name = f"cluster.{model}.membership_healthy"
        return int(self.admin.stats(f"^{name}$").get(name, -1))

    def install(self, spec: GatewaySpec, **options: Any) -> None:
        """Changes the configuration while it runs."""
        install(spec, self.folder, ensure("envoy"), ensure("picker"), registry=self.registry, **options)
        self.spec = spec

    def call(
        self, method: str, path: str, body: Any = None, *, key: str | None = KEY, timeout: float = 30, **headers: str
    ) -> Answer:
        """One request on a connection of its own. A body that is not bytes is sent as JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            sent["authorization"] = f"Bearer {key}"
        connection = http.client.HTTPConnection("127.0.0.1", self.spec.port, timeout=timeout)
        try:
            connection.request(method, path, data, sent)
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def chat(self, prompt: str = "hello", model: str = "chat", **fields: Any) -> Answer:
        """A chat completion."""
        messages = [{"role": "user", "content": prompt}]
        return self.call("POST", "/v1/chat/completions", {"model": model, "messages": messages, **fields})

    def logged(self, n: int) -> list[dict[str, Any]]:
        """At least the first `n` lines of the access log (Envoy writes them within a second)."""

        def lines() -> list[str]:
            return self.log.read_text().split("\n")[:-1] if self.log.exists() else []  # the last may be half written

        until(lambda: len(lines()) >= n, f"{n} lines of access log")
        return [json.loads(line) for line in lines()]

    def metric(self, name: str) -> float:
        """A figure of the module, by its name or the beginning of its line; 0 before there is one."""
        lines = self.admin.metrics().splitlines()
        return next((float(line.split()[-1]) for line in lines if line.startswith(f"envoy_berth_{name}")), 0.0)

    def counted(self, name: str, n: float) -> None:
        """Waits until a counter is at `n`, and sees that it stays: it is handed over twice a second."""
        until(lambda: self.metric(name) >= n, f"{name} is {n}")
        time.sleep(0.7)
        assert self.metric(name) == n


@contextmanager
def gateway(folder: Path, *models: Model, tenants: tuple[Tenant, ...] = (TENANT,), **fields: Any) -> Iterator[Gateway]:
    """A gateway in front of `models`, without backends yet."""
    spec = GatewaySpec(
        **{
            "port": free_port(),
            "admin_port": free_port(),
            "models": models or (model(),),
            "tenants": tenants,
            "access_log": str(folder / "access.json"),
            "workers": 1,
        }
        | fields
    )
    registry = Registry(folder)
    install(spec, folder, ensure("envoy"), ensure("picker"), registry=registry)
    errors = folder / "envoy.log"
    with errors.open("ab") as log:
        process = subprocess.Popen(
            command(spec, ensure("envoy"), folder),
            env=os.environ | environment(ensure("picker")),
            stdout=log,
            stderr=log,
        )
    running = Gateway(folder, spec, process, registry, errors)
    try:
        until(lambda: running.admin.ready() or process.poll() is not None, "the gateway is ready")
        if process.poll() is not None:
            raise AssertionError(f"Envoy ended with {process.returncode}: {errors.read_text()[-4000:]}")
        yield running
        said = errors.read_text()
        assert "panicked" not in said, said
        assert running.killed or process.poll() is None, f"Envoy died with {process.poll()}: {said[-4000:]}"
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
