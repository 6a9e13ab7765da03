"""Requests to an API server: what is tried again, what is told."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from infra.cluster import ApiError, Client, Target, UnreachableError
from infra.cluster.transport import _ambient_proxy, _covers


class Server(BaseHTTPRequestHandler):
    """Answers with the next of `answers`; closes the connection after those of status 0."""

    protocol_version = "HTTP/1.1"
    answers: ClassVar[list[tuple[int, str]]] = []
    paths: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.paths.append(self.path)
        status, body = self.answers.pop(0)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status == 429:
            self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def client() -> Iterator[Client]:
    Server.answers.clear()
    Server.paths.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        place = {"server": f"http://127.0.0.1:{server.server_address[1]}/base"}
        with Client(Target("dev", "one", "me", place, {}, Path()), {}, seconds=5) as client:
            yield client
        server.shutdown()
        thread.join()


def test_the_servers_path_is_kept(client: Client) -> None:
    Server.answers += [(200, '{"gitVersion": "v1.36.3"}')]
    assert client.version() == "v1.36.3"
    assert Server.paths == ["/base/version"]


def test_what_is_no_api_server_is_told(client: Client) -> None:
    Server.answers += [(200, "<html>Sign in</html>")]
    with pytest.raises(UnreachableError, match="answers, but not as an API server: <html>Sign in"):
        client.version()


def test_refusals_carry_code_and_words(client: Client) -> None:
    Server.answers += [(403, '{"message": "nodes is forbidden"}'), (502, "bad gateway")]
    with pytest.raises(ApiError, match="nodes is forbidden") as caught:
        client.version()
    assert caught.value.forbidden
    with pytest.raises(ApiError, match="bad gateway") as caught:
        client.version()
    assert caught.value.code == 502


def test_a_busy_server_is_asked_again_as_often_as_it_says_so_up_to_a_limit(client: Client) -> None:
    busy = (429, '{"message": "too many requests"}')
    Server.answers += [busy, busy, (200, '{"gitVersion": "v1.36.3"}')]
    assert client.version() == "v1.36.3"
    Server.answers += [busy] * 9
    with pytest.raises(ApiError, match="too many requests"):
        client.version()
    assert len(Server.paths) == 3 + 5


def test_lists_are_read_page_by_page(client: Client) -> None:
    kinds = '{"resources": [{"name": "pods", "kind": "Pod", "namespaced": true, "verbs": ["list"]}]}'
    first = '{"metadata": {"continue": "more"}, "items": [{"metadata": {"name": "a"}}]}'
    last = '{"metadata": {}, "items": [{"metadata": {"name": "b"}}]}'
    Server.answers += [(200, kinds), (200, first), (200, last)]
    found = client.items("v1", "Pod", "berth", labels="a=b")
    assert [item["metadata"]["name"] for item in found] == ["a", "b"]
    assert {item["kind"] for item in found} == {"Pod"}
    assert "continue=more" in Server.paths[-1]
    assert "/namespaces/berth/pods?labelSelector=a%3Db" in Server.paths[-1]


def test_kinds_that_are_not_served_have_no_objects(client: Client) -> None:
    Server.answers += [(404, "{}")]
    assert client.items("keda.sh/v1alpha1", "ScaledObject") == []
    assert not client.serves("keda.sh/v1alpha1", "ScaledObject")


def test_a_server_that_is_not_there_is_told() -> None:
    target = Target("dev", "one", "me", {"server": "http://127.0.0.1:1"}, {}, Path())
    with Client(target, {}) as client, pytest.raises(UnreachableError, match=r"127\.0\.0\.1:1: Connection refused"):
        client.version()


def test_proxies_are_found_as_go_finds_them() -> None:
    variables = {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "10.0.0.0/8, .internal,one.example"}
    assert _ambient_proxy("api.example", "https", variables) == "http://proxy:3128"
    for host in ("127.0.0.1", "localhost", "10.1.2.3", "a.internal", "one.example", "a.one.example"):
        assert _ambient_proxy(host, "https", variables) == ""
    assert _ambient_proxy("api.example", "http", variables) == ""
    assert not _covers("", "api.example")
