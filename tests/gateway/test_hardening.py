"""What a hostile or careless client can do to the gateway: the table of security controls, row by row.

Rows about keys are in test_keys.py, about routes in test_models.py, about bodies in test_bodies.py, about retries and
timeouts of answers in test_degradation.py, about health and discovery in test_discovery.py.
"""

import http.client
import json
import socket
import struct
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from tests.fakes.engine import FakeEngine
from tests.gateway.harness import KEY, Gateway, gateway, model, until

AUTH = f"authorization: Bearer {KEY}\r\n".encode()


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeEngine]:
    fake = FakeEngine().start()
    yield fake
    fake.stop()


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory, fake: FakeEngine) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    with gateway(folder, header_seconds=1, body_seconds=2, idle_seconds=2, max_connections=150) as gate:
        gate.join("chat", fake.port)
        yield gate


def _raw(gate: Gateway, data: bytes, seconds: float = 5) -> bytes:
    with socket.create_connection(("127.0.0.1", gate.spec.port), timeout=seconds) as connection:
        connection.sendall(data)
        return connection.recv(65536)


def _serves(gate: Gateway) -> bool:
    """Whether a request is let in and answered now."""
    try:
        return gate.chat().status == 200
    except (OSError, http.client.HTTPException):
        return False


def _status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize(("method", "path"), [("GET", "/config_dump"), ("POST", "/quitquitquit"), ("POST", "/logging")])
def test_the_admin_port_is_local_and_shows_statistics_only(gate: Gateway, method: str, path: str) -> None:
    request = urllib.request.Request(f"http://127.0.0.1:{gate.spec.admin_port}{path}", method=method)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=5)
    refused.value.close()
    assert refused.value.code == 403
    bootstrap = json.loads((gate.folder / "bootstrap.json").read_text())
    assert bootstrap["admin"]["address"]["socket_address"]["address"] == "127.0.0.1"


def test_envoys_own_headers_are_not_taken_from_clients(gate: Gateway, fake: FakeEngine) -> None:
    forged = {"x_envoy_max_retries": "99", "x_envoy_upstream_rq_timeout_ms": "1", "x_envoy_original_path": "/forged"}
    answer = gate.call("POST", "/v1/chat/completions", {"model": "chat", "messages": []}, **forged)
    assert answer.status == 200
    assert "x-envoy-upstream-service-time" not in answer.headers
    headers = {k.lower(): v for k, v in fake.seen[-1].headers.items()}
    assert not {"x-envoy-max-retries", "x-envoy-upstream-rq-timeout-ms", "x-envoy-original-path"} & headers.keys()


@pytest.mark.parametrize(
    ("path", "status"),
    [("/v1/../admin", 404), ("/v1%2fmodels", 400), ("/v1/%2e%2e/metrics", 404), ("//v1//models", 200)],
)
def test_paths_are_normalised_before_they_are_judged(gate: Gateway, path: str, status: int) -> None:
    assert _status(_raw(gate, f"GET {path} HTTP/1.1\r\nhost: x\r\n".encode() + AUTH + b"\r\n")) == status


def test_odd_headers_are_refused(gate: Gateway) -> None:
    head = b"GET /v1/models HTTP/1.1\r\nhost: x\r\n" + AUTH
    assert _status(_raw(gate, head + b"under_score: 1\r\n\r\n")) == 400
    many = b"".join(b"x-%d: 1\r\n" % i for i in range(80))
    assert _status(_raw(gate, head + many + b"\r\n")) == 431
    assert _status(_raw(gate, head + b"x-long: " + b"a" * 40_000 + b"\r\n\r\n")) == 431


@pytest.mark.parametrize(
    "head",
    [
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: identity, chunked, x\r\n\r\n",
        b"GET /v1/models HTTP/1.0\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x00\xa5\x01\x00\x00",
    ],
)
def test_smuggling_and_nonsense_get_an_error_and_a_closed_connection(gate: Gateway, head: bytes) -> None:
    assert 400 <= _status(_raw(gate, head + b"0\r\n\r\nGET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n")) < 600


def test_slow_headers_and_slow_bodies_are_408(gate: Gateway) -> None:
    with socket.create_connection(("127.0.0.1", gate.spec.port), timeout=20) as connection:
        start = time.monotonic()
        connection.sendall(b"GET /v1/models HTT")
        assert _status(connection.recv(4096)) == 408
        assert 0.5 < time.monotonic() - start < 10
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n" + AUTH + b"content-length: 1000\r\n\r\n{"
    start = time.monotonic()
    assert _status(_raw(gate, head, 20)) == 408
    assert 1 < time.monotonic() - start < 10


def test_slow_answers_outlive_the_limit_of_requests(gate: Gateway) -> None:
    assert gate.chat(stream=True, fake={"tokens": 8, "gap_ms": 500}).body.endswith(b"data: [DONE]\n\n")


def test_idle_connections_are_closed(gate: Gateway) -> None:
    start = time.monotonic()
    with socket.create_connection(("127.0.0.1", gate.spec.port), timeout=20) as connection:
        assert connection.recv(1) == b""
        assert 1 < time.monotonic() - start < 10


def test_connections_have_a_cap(gate: Gateway) -> None:
    connections = [socket.create_connection(("127.0.0.1", gate.spec.port), timeout=5) for _ in range(190)]
    try:
        name = "http.gateway.downstream_cx_active"
        time.sleep(0.5)
        assert int(gate.admin.stats(f"^{name}$")[name]) <= 150
    finally:
        for connection in connections:
            connection.close()
    until(lambda: _serves(gate), "others come in again")


def test_a_reader_that_stops_reading_stops_the_engine_not_the_gateway(gate: Gateway, fake: FakeEngine) -> None:
    def memory() -> int:
        return int(gate.admin.stats(r"^server\.memory_allocated$")["server.memory_allocated"])

    connections = []
    before = memory()
    for _ in range(10):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", gate.spec.port))
        body = json.dumps({"model": "chat", "messages": [], "stream": True, "fake": {"tokens": 60_000}}).encode()
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n" + AUTH
        connection.sendall(head + b"content-length: %d\r\n\r\n" % len(body) + body)
        connections.append(connection)
    until(lambda: fake.open >= 10, "all streams are open")
    time.sleep(2)
    grown = memory() - before
    for connection in connections:
        connection.close()
    assert grown < 10 * 1_000_000, f"{grown} bytes for ten streams of 2.8 MB"
    until(lambda: fake.open == 0, "the engine is freed")


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def test_http2_streams_are_bounded_and_rapid_resets_end_the_connection(gate: Gateway) -> None:
    with socket.create_connection(("127.0.0.1", gate.spec.port), timeout=10) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, 0))
        settings = connection.recv(4096)
        assert struct.pack(">HI", 3, 100) in settings, "SETTINGS_MAX_CONCURRENT_STREAMS 100"
        pairs = [  # literal headers without indexing; the body never comes
            (b":method", b"POST"),
            (b":path", b"/v1/chat/completions"),
            (b":scheme", b"http"),
            (b":authority", b"x"),
            (b"authorization", f"Bearer {KEY}".encode()),
        ]
        block = b"".join(b"\x00" + bytes([len(k)]) + k + bytes([len(v)]) + v for k, v in pairs)
        try:
            for i in range(20_000):
                stream = 2 * i + 1
                connection.sendall(_frame(1, 4, stream, block) + _frame(3, 0, stream, struct.pack(">I", 8)))
        except (BrokenPipeError, ConnectionResetError):
            pass
        else:
            pytest.fail("twenty thousand resets were taken")
    assert gate.call("GET", "/healthz", key=None).status == 200


def test_garbage_on_many_connections_leaves_it_serving(gate: Gateway) -> None:
    state = 88172645463325252
    for _ in range(100):
        data = bytearray()
        for _ in range(200):
            state = (state ^ (state << 13)) & (2**64 - 1)
            state ^= state >> 7
            state = (state ^ (state << 17)) & (2**64 - 1)
            data.append(state & 255)
        with socket.create_connection(("127.0.0.1", gate.spec.port), timeout=5) as connection:
            connection.sendall(bytes(data))
    assert gate.chat().status == 200


def test_memory_pressure_sheds_and_recovers(tmp_path_factory: pytest.TempPathFactory, fake: FakeEngine) -> None:
    with gateway(tmp_path_factory.mktemp("small"), max_heap_bytes=24_000_000, max_connections=2000) as gate:
        gate.join("chat", fake.port)
        assert gate.chat().status == 200
        hoard = []
        refused = peak = 0
        metric = "overload.envoy.resource_monitors.fixed_heap.pressure"
        try:
            for _ in range(80):  # bodies that never end: up to 9 MB each are held for them
                connection = http.client.HTTPConnection("127.0.0.1", gate.spec.port, timeout=5)
                hoard.append(connection)
                try:
                    connection.putrequest("POST", "/v1/chat/completions")
                    connection.putheader("authorization", f"Bearer {KEY}")
                    connection.putheader("content-length", "9000000")
                    connection.endheaders()
                    connection.send(b'{"x":"' + b"y" * 2_000_000)
                except (OSError, TimeoutError):
                    refused += 1
                # It is measured four times a second, and falls as soon as something has been shed.
                time.sleep(0.1)
                peak = max(peak, int(gate.admin.stats(f"^{metric}$")[metric]))
                if peak >= 90:
                    break
            assert peak >= 90, f"{refused} refused"
        finally:
            for connection in hoard:
                connection.close()
        until(lambda: _serves(gate), "it serves again", 20)


def test_the_log_has_no_prompt_no_answer_and_no_query(gate: Gateway) -> None:
    gate.chat("an unusual prompt")
    gate.call("GET", "/v1/models?token=unusual-query")
    gate.call("GET", "/v1/models/the-last-line")
    until(lambda: "the-last-line" in gate.log.read_text(), "all lines are written")
    text = gate.log.read_text()
    assert "unusual" not in text
    assert "response_code_details" in text or "via_upstream" in text


def test_nothing_that_a_client_sends_gets_out_of_its_place_in_the_log(tmp_path_factory: pytest.TempPathFactory) -> None:
    forged = b'x-berth-model: a","status":200,"x":"\r\n'
    with gateway(tmp_path_factory.mktemp("forged"), model()) as gate:
        for start, headers in (
            (b'GET /v1/"x\\', forged),
            (b"GET /a%2fb", forged),
            (b"GET /", b"a_b: c\r\n"),
            (b'"', b""),
        ):
            with socket.create_connection(("127.0.0.1", gate.spec.port), timeout=5) as client:
                client.sendall(start + b" HTTP/1.1\r\nhost: x\r\n" + headers + b"\r\n")
                client.recv(1000)
        lines = gate.logged(4)
    assert [line["status"] for line in lines] == [401, 400, 400, 400]
    assert lines[0]["details"] == "missing_api_key"
    assert lines[0]["path"].startswith("/v1/")
    assert lines[1]["details"] == "path_normalization_failed"
    assert lines[1]["method"] == "GET"
    assert lines[2]["details"] == "http1.unexpected_underscore"
    assert not any(line["model"] or line["tenant"] or "x" in line for line in lines)


def test_a_full_disk_under_the_log_stops_nothing(tmp_path_factory: pytest.TempPathFactory, fake: FakeEngine) -> None:
    with gateway(tmp_path_factory.mktemp("full"), model(), access_log="/dev/full") as gate:
        gate.join("chat", fake.port)
        assert {gate.chat().status for _ in range(20)} == {200}
        until(
            lambda: int(gate.admin.stats("filesystem.write_failed")["filesystem.write_failed"]) > 0, "it is counted", 20
        )
