"""One base URL for all models, native routes under /models/, and nothing else."""

from collections.abc import Iterator

import pytest

from serving.engines import Task
from tests.fakes.engine import FakeEngine
from tests.gateway.harness import Gateway, gateway, model, until


@pytest.fixture(scope="module")
def fakes() -> Iterator[list[FakeEngine]]:
    fakes = [FakeEngine().start(), FakeEngine().start()]
    yield fakes
    for fake in fakes:
        fake.stop()


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory, fakes: list[FakeEngine]) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    with gateway(folder, model("chat"), model("embed", Task.EMBED)) as gate:
        gate.join("chat", fakes[0].port)
        gate.join("embed", fakes[1].port)
        yield gate


def test_the_model_in_the_body_chooses_the_backends(gate: Gateway, fakes: list[FakeEngine]) -> None:
    assert gate.chat("hi").json()["choices"]
    assert gate.call("POST", "/v1/embeddings", {"model": "embed", "input": "x"}).status == 200
    assert fakes[0].seen[-1].body["messages"][0]["content"] == "hi"
    assert fakes[1].seen[-1].path == "/v1/embeddings"


def test_models_are_listed(gate: Gateway) -> None:
    listing = gate.call("GET", "/v1/models").json()
    assert [m["id"] for m in listing["data"]] == ["chat", "embed"]
    assert gate.call("GET", "/v1/models/embed").json()["id"] == "embed"
    assert gate.call("GET", "/v1/models/nope").status == 404


def test_native_routes_lie_under_the_models_name(gate: Gateway, fakes: list[FakeEngine]) -> None:
    assert gate.call("GET", "/models/chat/info").json() == {"model_id": "fake"}
    assert gate.call("GET", "/models/chat/health").status == 200
    assert gate.call("POST", "/models/chat/generate?x=1", {"inputs": "abc"}).status == 200
    assert fakes[0].seen[-1].path == "/generate?x=1"
    for path in ("/models/chat", "/models/chat/"):
        assert gate.call("POST", path, {"inputs": "abc"}).status == 200
        assert fakes[0].seen[-1].path == "/"
    stream = gate.call("POST", "/models/chat/generate_stream", {"inputs": "abc"})
    assert stream.headers["content-type"] == "text/event-stream"
    assert stream.body.endswith(b"data: [DONE]\n\n")


def test_an_unknown_model_is_404_and_the_known_ones_are_named(gate: Gateway) -> None:
    for answer in (gate.chat(model="chatt"), gate.call("POST", "/models/chatt/generate", {"inputs": "x"})):
        assert answer.status == 404
        error = answer.json()["error"]
        assert error["code"] == "model_not_found"
        assert "chat, embed" in error["message"]


def test_a_model_refuses_routes_that_it_does_not_serve(gate: Gateway) -> None:
    answer = gate.call("POST", "/v1/embeddings", {"model": "chat", "input": "x"})
    assert answer.status == 400
    assert (
        "model chat does not serve /v1/embeddings; it serves /v1/chat/completions" in answer.json()["error"]["message"]
    )


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/metrics"),
        ("GET", "/docs"),
        ("GET", "/health"),
        ("GET", "/info"),
        ("POST", "/invocations"),
        ("POST", "/v1/nothing"),
        ("GET", "/v1/chat/completions"),
        ("GET", "/models/chat/metrics"),
        ("GET", "/models/chat/docs"),
        ("GET", "/models/chat/../chat/metrics"),
        ("GET", "/models/chat//metrics"),
        ("POST", "/models/chat/invocations"),
        ("POST", "/models/chat/metrics"),
        ("DELETE", "/models/chat/generate"),
        ("GET", "/models"),
    ],
)
def test_nothing_else_leads_anywhere(gate: Gateway, method: str, path: str) -> None:
    answer = gate.call(method, path, {"model": "chat"} if method == "POST" else None)
    assert answer.status == 404, answer.body
    assert answer.json()["error"]["code"] == "route_not_found"


def test_the_health_path_needs_no_key(gate: Gateway) -> None:
    assert gate.call("GET", "/healthz", key=None).status == 200


def test_headers_of_the_gateway_cannot_be_forged(gate: Gateway, fakes: list[FakeEngine]) -> None:
    forged = {"x_berth_model": "embed", "x_berth_tenant": "root", "x_berth_ticket": "1"}
    body = {"model": "chat", "messages": []}
    assert gate.call("POST", "/v1/chat/completions", body, **forged).status == 200
    headers = {k.lower(): v for k, v in fakes[0].seen[-1].headers.items()}
    assert headers["x-berth-model"] == "chat"
    assert headers["x-berth-tenant"] == "acme"
    assert gate.call("GET", "/metrics", **forged).status == 404


def test_a_model_without_backends_is_503(gate: Gateway) -> None:
    (backend,) = gate.registry.backends("embed")
    gate.registry.remove("embed", backend.replica, force=True)
    until(lambda: gate.healthy("embed") == 0, "the backend is gone")
    answer = gate.call("POST", "/v1/embeddings", {"model": "embed", "input": "x"})
    assert answer.status == 503
    assert answer.json()["error"]["type"] == "server_error"
    gate.join("embed", backend.port)
    assert gate.call("POST", "/v1/embeddings", {"model": "embed", "input": "x"}).status == 200
