import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.providers.local.daemon import Daemon
from infra.providers.local.spec import Drain, Health, ServiceSpec
from tests.support.portblock import lease

SERVER = """
import http.server, os, signal, sys
if "fail" in sys.argv[2]:
    print("cannot open the weights"); sys.exit(3)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = (sys.argv[2] + " " + os.environ.get("GREETING", "") + " " + ",".join(sorted(os.environ))).encode()
        self.send_response(200); self.send_header("content-length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
server.serve_forever()
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path / "stack")
    yield daemon
    daemon.stop()


@pytest.fixture(scope="session")
def port_range() -> tuple[int, int]:
    """Of this test process alone: another one would find the same port free before either listens on it."""
    return lease()


@pytest.fixture
def spec(port_range: tuple[int, int]) -> Callable[..., ServiceSpec]:
    def make(version: str = "one", **changes: object) -> ServiceSpec:
        values: dict[str, object] = {
            "name": "echo",
            "command": (sys.executable, "-c", SERVER, "{port.http}", version),
            "ports": {"http": 0},
            "port_range": port_range,
            "health": Health(port="http", path="/", seconds=20),
            "drain": Drain(seconds=5),
        }
        return ServiceSpec(**{**values, **changes})  # type: ignore[arg-type]

    return make
