"""Bad bodies are refused with a reason; good ones pass whatever their form."""

import http.client
import json
import socket
from collections.abc import Iterator

import pytest

from tests.fakes.engine import FakeEngine
from tests.gateway.harness import KEY, Gateway, gateway


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeEngine]:
    fake = FakeEngine().start()
    yield fake
    fake.stop()


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory, fake: FakeEngine) -> Iterator[Gateway]:
    with gateway(tmp_path_factory.mktemp("gateway")) as gate:
        gate.join("chat", fake.port)
        yield gate


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "the body is empty"),
        (b"{", "the JSON ends too early"),
        (b'{"model":"chat"', "the JSON ends too early"),
        (b'["chat"]', "must be a JSON object"),
        (b'{"model":"chat","messages":"\xff"}', "not UTF-8"),
        (b'{"model":"chat","a":' + b"[" * 200 + b"]" * 200 + b"}", "nested deeper"),
        (b'{"model":"chat","model":"other"}', "appears twice"),
        (b'{"model":7}', "model must be a string"),
        (b'{"messages":[]}', "must name a model: chat"),
        (
            b'{"model":"chat","messages":[{"content":[{"image_url":{"url":"http://127.0.0.1/"}}]}]}',
            "image_url, video_url and audio_url are refused",
        ),
    ],
)
def test_bad_json_is_400_and_says_why(gate: Gateway, body: bytes, why: str) -> None:
    answer = gate.call("POST", "/v1/chat/completions", body)
    assert answer.status == 400
    assert why in answer.json()["error"]["message"]


def test_bodies_pass_up_to_ten_megabytes(gate: Gateway, fake: FakeEngine) -> None:
    base = len(json.dumps({"model": "chat", "messages": [{"role": "user", "content": ""}]}))
    for size in (10_000, 200_000, 3_000_000, 10_000_000):
        assert gate.chat("x" * (size - base)).status == 200
        assert len(fake.seen[-1].body["messages"][0]["content"]) == size - base


def test_larger_ones_are_413(gate: Gateway) -> None:
    answer = gate.chat("x" * 10_000_000)
    assert answer.status == 413
    assert answer.json()["error"]["code"] == "body_too_large"


def _raw(gate: Gateway, *pieces: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", gate.spec.port), timeout=10) as connection:
        for piece in pieces:
            connection.sendall(piece)
        return connection.recv(65536)


HEAD = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n".encode()
BODY = b'{"model":"chat","messages":[]}'


def test_chunked_bodies_and_trailers(gate: Gateway) -> None:
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in BODY)
    assert b" 200 OK" in _raw(gate, HEAD + b"transfer-encoding: chunked\r\n\r\n", chunks + b"0\r\n\r\n")
    trailers = b"0\r\nx-check: 1\r\n\r\n"
    assert b" 200 OK" in _raw(gate, HEAD + b"transfer-encoding: chunked\r\n\r\n", chunks + trailers)


def test_an_endless_body_is_cut(gate: Gateway) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", gate.spec.port, timeout=20)
    connection.putrequest("POST", "/v1/chat/completions")
    connection.putheader("authorization", f"Bearer {KEY}")
    connection.putheader("transfer-encoding", "chunked")
    connection.endheaders()
    sent = 0
    try:
        while sent < 60_000_000:
            connection.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            sent += 65536
    except (BrokenPipeError, ConnectionResetError):
        pass
    finally:
        connection.close()
    assert sent < 60_000_000


def test_compressed_bodies_are_415(gate: Gateway) -> None:
    answer = gate.call("POST", "/v1/chat/completions", BODY, content_encoding="gzip")
    assert answer.status == 415


def test_a_key_is_asked_for_before_a_body(gate: Gateway) -> None:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100000000\r\n\r\n"
    assert b" 401 " in _raw(gate, head)


def test_lying_lengths_reach_no_backend(gate: Gateway, fake: FakeEngine) -> None:
    before = len(fake.seen)
    with socket.create_connection(("127.0.0.1", gate.spec.port), timeout=10) as connection:
        connection.sendall(HEAD + b"content-length: 500\r\n\r\n" + BODY)
    short = _raw(gate, HEAD + b"content-length: 10\r\n\r\n" + BODY)
    assert b" 400 " in short
    assert len(fake.seen) == before
