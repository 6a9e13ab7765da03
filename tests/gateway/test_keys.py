"""Keys: who may pass, what becomes of the key, and how keys change."""

import http.client
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from serving.gateway import Tenant, digest
from tests.fakes.engine import FakeEngine
from tests.gateway.harness import HELD, KEY, gateway, released, until

Engines = Callable[[int], list[FakeEngine]]


def test_only_valid_keys_pass(tmp_path: Path, engines: Engines) -> None:
    (fake,) = engines(1)
    with gateway(tmp_path) as gate:
        gate.join("chat", fake.port)
        body = {"model": "chat", "messages": []}
        for key, code in ((None, "missing_api_key"), ("", "missing_api_key"), ("sk-wrong", "invalid_api_key")):
            answer = gate.call("POST", "/v1/chat/completions", body, key=key)
            assert (answer.status, answer.json()["error"]["code"]) == (401, code)
            assert answer.headers["www-authenticate"] == "Bearer"
        basic = gate.call("GET", "/v1/models", key=None, authorization=f"Basic {KEY}")
        assert basic.status == 401
        assert gate.call("GET", "/metrics", key=None).status == 401
        assert gate.call("GET", "/v1/models", key=None, authorization=f"bearer {KEY}").status == 200
        assert not fake.seen


def test_the_key_ends_at_the_gateway(tmp_path: Path, engines: Engines) -> None:
    (fake,) = engines(1)
    with gateway(tmp_path) as gate:
        gate.join("chat", fake.port)
        assert gate.chat("a very private prompt").status == 200
        gate.call("GET", f"/v1/models?key={KEY}")
        assert "authorization" not in {k.lower() for k in fake.seen[0].headers}
        log = gate.logged(2)
        assert (log[0]["tenant"], log[0]["model"], log[0]["status"]) == ("acme", "chat", 200)
        assert log[0]["backend"] == f"127.0.0.1:{fake.port}"
        stats = gate.admin.metrics()
        environment = Path(f"/proc/{gate.process.pid}/environ").read_bytes()
        arguments = Path(f"/proc/{gate.process.pid}/cmdline").read_bytes()
        files = [p.read_text() for p in tmp_path.rglob("*.json") if p.is_file()] + [gate.errors.read_text(), stats]
        for place in [*files, environment.decode(), arguments.decode()]:
            assert KEY not in place
            assert "private prompt" not in place


def test_rotation_accepts_two_keys_and_cuts_no_stream(tmp_path: Path, engines: Engines) -> None:
    fakes = engines(2)
    with gateway(tmp_path) as gate:
        gate.join("chat", *(f.port for f in fakes))
        ends: list[bytes] = []

        def stream() -> None:
            body = {"model": "chat", "messages": [], **HELD}
            connection = http.client.HTTPConnection("127.0.0.1", gate.spec.port, timeout=30)
            connection.request("POST", "/v1/chat/completions", json.dumps(body), {"authorization": f"Bearer {KEY}"})
            ends.append(connection.getresponse().read()[-16:])
            connection.close()

        threads = [threading.Thread(target=stream) for _ in range(20)]
        new = "sk-the-next-one"
        spec = gate.spec
        with released(*fakes):
            for thread in threads:
                thread.start()
            until(lambda: sum(f.open for f in fakes) == 20, "all streams are open")
            for digests, old_status in (((digest(KEY), digest(new)), 200), ((digest(new),), 401)):
                gate.install(replace(spec, tenants=(Tenant("acme", digests),)))
                assert gate.call("GET", "/v1/models", key=KEY).status == old_status
                assert gate.call("GET", "/v1/models", key=new).status == 200
            assert not ends, "a stream ended meanwhile"
        for thread in threads:
            thread.join()
        assert ends == [b"\n\ndata: [DONE]\n\n"] * 20
