"""HTTPS at the gateway, and TLS to remote providers, with the real Envoy and throw-away certificates."""

import http.client
import json
import socket
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from serving.gateway import Provider, Retries
from serving.gateway.clusters import AUTHORITIES
from tests.fakes.engine import FakeEngine
from tests.gateway.certificates import Certificate, certificate
from tests.gateway.harness import HELD, KEY, model, released, until
from tests.gateway.pod import Pod, pod
from tests.support.mounted_folder import MountedFolder

Engines = Callable[[int], list[FakeEngine]]
HOST = "api.example.test"


@contextmanager
def _https(folder: Path, port: int, mounted: dict[str, str]) -> Iterator[tuple[Pod, MountedFolder]]:
    with pod(folder / "pod", {"chat": port}, certificate=mounted) as gate:
        until(lambda: gate.healthy("chat") == 1, "the server is found")
        yield gate, gate.folders["certificate"]


@pytest.fixture
def fake(engines: Engines) -> FakeEngine:
    return engines(1)[0]


def _context(trusted: Certificate) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(trusted.chain))


def _connect(gate: Pod, context: ssl.SSLContext) -> ssl.SSLSocket:
    assert gate.mounts.https_port
    plain = socket.create_connection(("127.0.0.1", gate.mounts.https_port), timeout=15)
    return context.wrap_socket(plain, server_hostname=HOST)


def _chat(gate: Pod, context: ssl.SSLContext, **fields: Any) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(HOST, timeout=30)
    connection.sock = _connect(gate, context)
    try:
        body = {"model": "chat", "messages": [{"role": "user", "content": "hello"}], **fields}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"authorization": f"Bearer {KEY}"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _is_up(gate: Pod, context: ssl.SSLContext) -> bool:
    try:
        _connect(gate, context).close()
    except OSError:
        return False
    return True


def test_requests_come_in_by_https_with_the_same_keys_and_limits(tmp_path: Path, fake: FakeEngine) -> None:
    made = certificate(tmp_path / "first", HOST)
    with _https(tmp_path, fake.port, made.files()) as (gate, _):
        context = _context(made)
        status, body = _chat(gate, context)
        assert (status, b"choices" in body) == (200, True)
        assert gate.chat().status == 200, "plain HTTP is for the pod's own network"
        connection = http.client.HTTPConnection(HOST, timeout=10)
        connection.sock = _connect(gate, context)
        connection.request("GET", "/v1/models")
        assert connection.getresponse().status == 401
        connection.close()


def test_old_protocols_are_refused_and_http2_is_offered(tmp_path: Path, fake: FakeEngine) -> None:
    made = certificate(tmp_path / "first", HOST)
    with _https(tmp_path, fake.port, made.files()) as (gate, _):
        context = _context(made)
        context.set_alpn_protocols(["h2", "http/1.1"])
        with _connect(gate, context) as connection:
            assert connection.selected_alpn_protocol() == "h2"
            assert connection.version() == "TLSv1.3"
        old = _context(made)
        old.set_ciphers("DEFAULT:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1"):
            old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        with pytest.raises(ssl.SSLError):
            _connect(gate, old)
        assert gate.mounts.https_port
        with socket.create_connection(("127.0.0.1", gate.mounts.https_port), timeout=10) as plain:
            plain.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            assert b"HTTP/1.1 200" not in plain.recv(100)


def test_a_renewed_certificate_is_taken_over_and_cuts_no_stream(tmp_path: Path, fake: FakeEngine) -> None:
    first, second = certificate(tmp_path / "first", HOST), certificate(tmp_path / "second", HOST)
    with _https(tmp_path, fake.port, first.files()) as (gate, files), ThreadPoolExecutor(1) as pool:
        with released(fake):
            stream = pool.submit(_chat, gate, _context(first), **HELD)
            until(lambda: fake.open == 1, "the stream is open")
            files.swap(second.files())
            until(lambda: _is_up(gate, _context(second)), "new connections get the new one")
            assert not _is_up(gate, _context(first))
            assert not stream.done()
        status, body = stream.result()
        assert (status, body[-14:]) == (200, b"data: [DONE]\n\n")


def test_a_broken_certificate_leaves_the_old_one(tmp_path: Path, fake: FakeEngine) -> None:
    first, second = certificate(tmp_path / "first", HOST), certificate(tmp_path / "second", HOST)
    with _https(tmp_path, fake.port, first.files()) as (gate, files):
        for broken in (
            {**first.files(), "tls.key": second.files()["tls.key"]},
            {"tls.crt": "nothing", "tls.key": ""},
            {**first.files(), "tls.crt": "nothing"},
        ):
            files.swap(broken)
            assert _chat(gate, _context(first))[0] == 200
        files.swap(second.files())
        until(lambda: _is_up(gate, _context(second)), "a good one is taken again")


def _provider(port: int) -> Provider:
    return Provider("elsewhere", f"https://localhost:{port}/v1", "their-model", "their-key")


@pytest.mark.parametrize("trouble", ["none", "another name", "an unknown authority"])
def test_a_provider_must_prove_its_name(tmp_path: Path, trouble: str) -> None:
    good, other = certificate(tmp_path / "good", "localhost"), certificate(tmp_path / "other", "other.test")
    shown = other if trouble == "another name" else good
    trusted = {"none": good, "another name": other, "an unknown authority": other}[trouble]
    remote = FakeEngine().start(tls=shown.context())
    try:
        chat = model("chat", fallback=("elsewhere",), retries=Retries(0))
        with pod(tmp_path / "pod", {"chat": 9}, chat, providers=(_provider(remote.port),)) as gate:
            text = gate.folders["clusters"].path.joinpath("cds.json").read_text()
            assert AUTHORITIES in text, "those of the system, where nothing else is said"
            changed = text.replace(AUTHORITIES, str(trusted.chain)).replace('"version_info": "', '"version_info": "t')
            gate.folders["clusters"].swap({"cds.json": changed})
            until(lambda: gate.stat("cluster_manager.cds.update_success") >= 2, "the test's authority is trusted")
            if trouble == "none":
                until(lambda: gate.chat().status == 200, "the provider answers")
                headers = {name.lower(): value for name, value in remote.seen[-1].headers.items()}
                assert headers["authorization"] == "Bearer their-key"
                assert remote.seen[-1].path == "/v1/chat/completions"
            else:
                failed = "fail_verify_san" if trouble == "another name" else "fail_verify_error"
                statuses = [gate.chat().status for _ in range(3)]

                def refused() -> bool:
                    statuses.append(gate.chat().status)
                    return gate.stat(f"cluster.elsewhere.ssl.{failed}") > 0

                until(refused, "its certificate is refused for this reason")  # once the cluster has the new authority
                assert set(statuses) == {503}
                assert not remote.seen, "neither prompt nor key reached it"
    finally:
        remote.stop()
