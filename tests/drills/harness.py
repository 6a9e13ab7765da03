"""A site to break: gateways and engines as processes of their own, their clients' history, and what must hold after."""

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from infra.toolchain import ensure
from serving.gateway import Backend, GatewaySpec, Model, Registry, Tenant, command, digest, environment, install
from tests.gateway.harness import Gateway, until
from tests.gateway.harness import model as plain_model
from tests.support.history import History, Journal, Outcome
from tests.support.load import Load
from tests.support.portblock import free_port

KEY = "sk-drill-canary-71c0ffee9b"
CANARY = "a prompt that nobody may log: heliotrope-51"
TENANT = Tenant("acme", (digest(KEY),))

__all__ = ["CANARY", "KEY", "TENANT", "Drill", "EngineProcess", "Outcome", "answers", "model", "until", "within"]


def model(name: str = "chat", **fields: Any) -> Model:
    """A model with health checks every 0.2 s, which a machine under load has two seconds to answer."""
    made = plain_model(name, **fields)
    return replace(made, health=replace(made.health, timeout=2.0))


@dataclass
class EngineProcess:
    """A fake engine that can be killed and frozen."""

    name: str
    port: int
    process: "subprocess.Popen[bytes]"

    def signal(self, number: int) -> None:
        """Sends it a signal."""
        self.process.send_signal(number)

    def stop(self) -> None:
        """Ends it, frozen or not, and waits."""
        self.process.kill()
        self.process.wait()


@dataclass
class Drill:
    """One drill. Everything that it writes stays below `folder`."""

    folder: Path
    seed: int = 1
    history: History = field(default_factory=History)
    notes: list[str] = field(default_factory=list)
    secrets: list[str] = field(default_factory=lambda: [KEY, CANARY])
    """What no log, file or process argument may show."""
    engines: list[EngineProcess] = field(default_factory=list)
    gateways: list[Gateway] = field(default_factory=list)

    # ---- the site -----------------------------------------------------------

    def engine(self, name: str, port: int | None = None, **default: Any) -> EngineProcess:
        """Starts a fake engine; `default` stands in for what a request does not ask of it."""
        port = port or free_port()
        options = {"port": port, "journal": self._journals / f"{name}.jsonl", "default": json.dumps(default)}
        words = [word for option, value in options.items() for word in (f"--{option}", str(value))]
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen([sys.executable, "-m", "tests.fakes.engine", *words], stdout=log, stderr=log)
        engine = EngineProcess(name, port, process)
        self.engines.append(engine)
        return engine

    def gateway(
        self, *models: Model, folder: str = "gateway", engines: Sequence[EngineProcess] = (), **fields: Any
    ) -> Gateway:
        """Installs a gateway and starts it; with `engines` already in the registry of `chat`."""
        path = self.folder / folder
        standard: dict[str, Any] = {
            "port": free_port(),
            "admin_port": free_port(),
            "models": models or (model(),),
            "tenants": (TENANT,),
            "access_log": str(path / "access.json"),
            "workers": 1,
        }
        spec = GatewaySpec(**standard | fields)
        registry = Registry(path)
        for engine in engines:
            registry.add("chat", Backend(f"r{engine.port}", "127.0.0.1", engine.port))
        install(spec, path, ensure("envoy"), ensure("picker"), registry=registry)
        return self.start(path, spec, registry)

    def start(self, path: Path, spec: GatewaySpec, registry: Registry) -> Gateway:
        """Starts a gateway over the files in `path`."""
        errors = path / "envoy.log"
        with errors.open("ab") as log:
            process = subprocess.Popen(
                command(spec, ensure("envoy"), path),
                env=os.environ | environment(ensure("picker")),
                stdout=log,
                stderr=log,
            )
        gateway = Gateway(path, spec, process, registry, errors)
        self.gateways.append(gateway)
        until(lambda: gateway.admin.ready() or process.poll() is not None, "the gateway is ready", 30)
        assert process.poll() is None, f"Envoy ended with {process.returncode}: {errors.read_text()[-4000:]}"
        return gateway

    def join(self, gateway: Gateway, *engines: EngineProcess, model: str = "chat", **metadata: Any) -> None:
        """Adds the engines to a model's backends and waits until they take requests."""
        for engine in engines:
            until(lambda engine=engine: answers(engine.port), f"{engine.name} answers", 30)  # type: ignore[misc]
        gateway.join(model, *(engine.port for engine in engines), **metadata)

    def load(self, gateway: Gateway, **options: Any) -> Load:
        """Clients of a gateway; options as for `Load`."""
        url = f"http://127.0.0.1:{gateway.spec.port}"
        standard: dict[str, Any] = {"seed": self.seed, "canary": CANARY}
        return Load(self.history, url, KEY, **standard | options)

    def release(self) -> None:
        """Lets streams that are held end."""
        for engine in self.engines:
            if engine.process.poll() is None:
                _get(engine.port, "/_release")

    # ---- what is seen -------------------------------------------------------

    def journal(self) -> Journal:
        """What the engines have done so far."""
        return Journal.read(sorted(self._journals.glob("*.jsonl")))

    def note(self, text: str) -> None:
        """A figure for the report."""
        self.notes.append(text)

    def verify(self) -> None:
        """Raises AssertionError where an invariant of all drills does not hold."""
        self.history.check(self.journal())
        self.check_secrets()
        for gateway in self.gateways:
            assert "panicked" not in gateway.errors.read_text()

    def check_secrets(self) -> None:
        """No secret in any file of the site, its processes' arguments and environments, and the statistics."""
        places = {str(path): path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}
        for gateway in self.gateways:
            if gateway.process.poll() is None:
                places["statistics"] = gateway.admin.metrics().encode()
                for name in ("cmdline", "environ"):
                    places[name] = Path(f"/proc/{gateway.process.pid}/{name}").read_bytes()
        assert places
        for place, content in places.items():
            found = [secret for secret in self.secrets if secret.encode() in content]
            assert not found, f"{place} holds {len(found)} secrets"

    # ---- the end ------------------------------------------------------------

    @property
    def _journals(self) -> Path:
        path = self.folder / "journals"
        path.mkdir(exist_ok=True)
        return path

    def close(self) -> None:
        """Ends every process of the site."""
        for engine in self.engines:
            engine.stop()
        for gateway in self.gateways:
            gateway.process.kill()
            gateway.process.wait()


@contextmanager
def within(seconds: float, what: str) -> Iterator[None]:
    """Recovery is bounded: the block must not take longer."""
    start = time.monotonic()
    yield
    took = time.monotonic() - start
    assert took <= seconds, f"{what} took {took:.1f} s; {seconds:g} s are allowed"


def answers(port: int) -> bool:
    """Whether the health path answers 200."""
    try:
        return _get(port, "/health") == 200
    except OSError:
        return False


def _get(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()
