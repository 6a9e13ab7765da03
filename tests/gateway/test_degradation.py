"""What a client gets when things are full, slow or gone: never silence, never a wrong status."""

import http.client
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from serving.gateway import Caps, Hold, Priority, Provider, Tenant, Timeouts, Tokens, digest
from tests.fakes.engine import FakeEngine
from tests.gateway.harness import HELD, KEY, Gateway, gateway, model, released, until

Engines = Callable[[int], list[FakeEngine]]


def _metric(gate: Gateway, name: str) -> float:
    time.sleep(0.7)  # statistics are handed over twice a second
    return gate.metric(name)


def test_the_first_token_has_a_limit_of_its_own(tmp_path: Path, engines: Engines) -> None:
    (fake,) = engines(1)
    with gateway(tmp_path, model(timeouts=Timeouts(first_token=1, idle=5))) as gate:
        gate.join("chat", fake.port)
        for early in (False, True):  # vLLM sends headers before the first token
            start = time.monotonic()
            answer = gate.chat(stream=True, fake={"first_ms": 6000, "early": early})
            assert (answer.status, answer.json()["error"]["code"]) == (504, "first_token_timeout")
            assert time.monotonic() - start < 4
        assert gate.chat(stream=True, fake={"gap_ms": 900}).body.endswith(b"data: [DONE]\n\n")
        gate.counted('first_token_timeouts{model="chat"}', 2)
        until(lambda: fake.open == 0, "the engine is freed")


def test_silence_in_a_stream_breaks_it_off(tmp_path: Path, engines: Engines) -> None:
    (fake,) = engines(1)
    with gateway(tmp_path, model(timeouts=Timeouts(first_token=5, idle=1))) as gate:
        gate.join("chat", fake.port)
        assert gate.chat(stream=True, fake={"first_ms": 1500}).status == 200
        start = time.monotonic()
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
            gate.chat(stream=True, fake={"tokens": 2, "gap_ms": 20_000})
        assert time.monotonic() - start < 10


def test_a_whole_stream_has_a_limit(tmp_path: Path, engines: Engines) -> None:
    (fake,) = engines(1)
    with gateway(tmp_path, model(timeouts=Timeouts(stream=1.0))) as gate:
        gate.join("chat", fake.port)
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
            gate.chat(stream=True, fake={"tokens": 100, "gap_ms": 100})


def test_requests_wait_for_a_backend_and_then_go(tmp_path: Path, engines: Engines) -> None:
    (fake,) = engines(1)
    with gateway(tmp_path, model(hold=Hold(30, 2))) as gate:
        with ThreadPoolExecutor(3) as pool:
            answers = [pool.submit(gate.chat, f"{i}") for i in range(3)]
            until(lambda: _metric(gate, 'requests_held{model="chat"}') == 2, "two wait, the third may not")
            gate.join("chat", fake.port)
            statuses = sorted(a.result().status for a in answers)
        assert statuses == [200, 200, 503]
        assert len(fake.seen) == 2


def test_a_hold_ends_with_503_and_retry_after(tmp_path: Path) -> None:
    with gateway(tmp_path, model(hold=Hold(2))) as gate:
        start = time.monotonic()
        answer = gate.chat()
        assert 1.5 < time.monotonic() - start < 10
        assert (answer.status, answer.json()["error"]["code"]) == (503, "no_backend")
        assert answer.headers["retry-after"] == "5"
        with pytest.raises(TimeoutError):
            gate.call("POST", "/v1/chat/completions", {"model": "chat", "messages": []}, timeout=0.1)
        until(lambda: _metric(gate, 'requests_held{model="chat"}') == 0, "a client that left is not held")


def test_requests_a_minute(tmp_path: Path, engines: Engines) -> None:
    (fake,) = engines(1)
    tenant = Tenant("acme", (digest(KEY),), requests_per_minute=5)
    with gateway(tmp_path, tenants=(tenant, Tenant("other", (digest("k"),)))) as gate:
        gate.join("chat", fake.port)
        answers = [gate.chat() for _ in range(8)]
        assert [a.status for a in answers] == [200] * 5 + [429] * 3
        assert answers[-1].json()["error"]["code"] == "requests_per_minute"
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 12
        assert gate.call("POST", "/v1/chat/completions", {"model": "chat", "messages": []}, key="k").status == 200
        gate.counted('requests_limited{tenant="acme",model="chat"}', 3)


def test_tokens_are_reserved_and_settled(tmp_path: Path, engines: Engines) -> None:
    (fake,) = engines(1)
    tenant = Tenant("acme", (digest(KEY),), tokens_per_minute=1000)
    with gateway(tmp_path, tenants=(tenant,)) as gate:
        gate.join("chat", fake.port)
        # Each may need 600 and needs 10: one after the other they all pass.
        assert [gate.chat(max_tokens=600).status for _ in range(5)] == [200] * 5
        # At the same time only one does.
        with ThreadPoolExecutor(3) as pool:
            slow = {"max_tokens": 600, "fake": {"first_ms": 2000}}
            statuses = sorted(a.status for a in pool.map(lambda _: gate.chat(**slow), range(3)))
        assert statuses == [200, 429, 429]
        fake.usage = {"prompt_tokens": 500, "completion_tokens": 600, "total_tokens": 1100}
        assert gate.chat(max_tokens=600).status == 200
        late = gate.chat(max_tokens=10)
        assert (late.status, late.json()["error"]["code"]) == (429, "tokens_per_minute")
        assert int(late.headers["retry-after"]) >= 1
        assert gate.chat(max_tokens=5000).status == 429


def test_limits_on_generated_tokens_are_in_the_body_that_the_engine_sees(tmp_path: Path, engines: Engines) -> None:
    (fake,) = engines(1)
    with gateway(tmp_path, model(tokens=Tokens(default=20, most=100))) as gate:
        gate.join("chat", fake.port)
        gate.chat()
        gate.chat(max_tokens=5000)
        gate.chat(max_tokens=50)
        gate.call("POST", "/models/chat/generate", {"inputs": "x"})
        gate.call("POST", "/models/chat/", {"inputs": "x", "parameters": {"max_new_tokens": 999}})
        bodies = [s.body for s in fake.seen]
        assert [b.get("max_tokens") for b in bodies[:3]] == [20, 100, 50]
        assert [b["parameters"]["max_new_tokens"] for b in bodies[3:]] == [20, 100]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"n": 9}, "too_many_choices"),
        ({"stop": list("abcde")}, "too_many_stops"),
        ({"logprobs": True, "top_logprobs": 6}, "too_many_top_tokens"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": "x" * 400}}}, "grammar_too_large"),
    ],
)
def test_what_would_cost_an_engine_too_much_is_refused(
    tmp_path: Path, engines: Engines, fields: dict[str, object], code: str
) -> None:
    (fake,) = engines(1)
    with gateway(tmp_path, model(caps=Caps(choices=8, stops=4, top_tokens=5, grammar_bytes=400))) as gate:
        gate.join("chat", fake.port)
        refused = gate.chat(**fields)
        assert (refused.status, refused.json()["error"]["code"]) == (400, code)
        assert gate.chat(n=8, stop=list("abcd"), top_logprobs=5, response_format={"type": "json_object"}).status == 200
        native = gate.call("POST", "/models/chat/generate", {"inputs": "x", "parameters": {"grammar": "y" * 400}})
        assert (native.status, native.json()["error"]["code"]) == (400, "grammar_too_large")
        assert len(fake.seen) == 1


def test_low_priority_is_refused_first(tmp_path: Path, engines: Engines) -> None:
    (fake,) = engines(1)
    tenants = tuple(Tenant(str(p), (digest(f"k-{p}"),), priority=p) for p in Priority)
    with gateway(tmp_path, tenants=tenants) as gate:
        gate.join("chat", fake.port, concurrent_requests=4)

        def ask(priority: Priority, **fields: Any) -> int:
            body = {"model": "chat", "messages": [], **fields}
            return gate.call("POST", "/v1/chat/completions", body, key=f"k-{priority}").status

        with ThreadPoolExecutor(8) as pool:
            busy = []
            with released(fake):
                for load, expected in ((4, (503, 200, 200)), (6, (503, 503, 200)), (8, (503, 503, 503))):
                    while len(busy) < load:
                        busy.append(pool.submit(ask, Priority.HIGH, **HELD))
                        until(lambda: fake.open == len(busy), "it is in the engine")
                    assert (ask(Priority.LOW), ask(Priority.NORMAL), ask(Priority.HIGH)) == expected, load
            assert {b.result() for b in busy} == {200}
        assert ask(Priority.LOW) == 200


@pytest.mark.parametrize(
    ("event", "status"),
    [
        ({"error": "Model is overloaded", "error_type": "overloaded"}, 429),
        ({"error": {"message": "Model is overloaded", "http_status_code": 422}}, 429),
        ({"error": {"message": "too long", "http_status_code": 422}}, 422),
        ({"error": {"message": "queue full", "type": "Unavailable", "code": 503}}, 503),
    ],
)
def test_a_stream_that_the_engine_refuses_has_a_true_status(
    tmp_path: Path, engines: Engines, event: dict[str, object], status: int
) -> None:
    (fake,) = engines(1)
    with gateway(tmp_path) as gate:
        gate.join("chat", fake.port)
        for early in (True, False):
            answer = gate.chat(stream=True, fake={"event": event, "early": early, "first_ms": 50})
            assert answer.status == status
            assert answer.headers["content-type"] == "application/json"
            assert answer.json()["error"]["message"] in str(event)
            assert ("retry-after" in answer.headers) == (status in (429, 503))
        gate.counted('stream_refusals{model="chat"}', 2)
        assert gate.chat(stream=True).body.endswith(b"data: [DONE]\n\n")


def test_another_model_answers_when_one_cannot(tmp_path: Path, engines: Engines) -> None:
    chat, small = engines(2)
    chain = model("chat", fallback=("small",), timeouts=Timeouts(first_token=2))
    with gateway(tmp_path, chain, model("small")) as gate:
        gate.join("small", small.port)
        assert gate.chat().json()["model"] == "small", "no backend at all"
        gate.join("chat", chat.port)
        assert gate.chat().json()["model"] == "chat"
        overloaded = {"event": {"error": "full", "error_type": "overloaded"}}
        for trouble in ({"status": 429}, {"status": 503}, overloaded, {"first_ms": 8000}, {"die": "before"}):
            chat.default = trouble
            answer = gate.chat(f"{trouble}", stream=True)
            assert (answer.status, answer.body[-8:]) == (200, b"[DONE]\n\n"), trouble
            assert small.seen[-1].body["model"] == "small"
        chat.default = {}
        assert gate.call("POST", "/models/chat/generate", {"inputs": "x", "fake": {"status": 429}}).status == 429
        assert small.seen[-1].path == "/generate"
        gate.counted('fallbacks{model="chat"}', 7)
        assert gate.chat(model="small", fake={"status": 429}).headers["retry-after"] == "1"


def test_a_provider_is_the_last_resort(tmp_path: Path, engines: Engines) -> None:
    (remote,) = engines(1)
    provider = Provider("elsewhere", f"http://localhost:{remote.port}/api/v2", "their-model", "their-key")
    with gateway(tmp_path, model("chat", fallback=("elsewhere",)), providers=(provider,)) as gate:
        answer = gate.chat("x" * 2000)
        assert answer.status == 200
        seen = remote.seen[-1]
        headers = {k.lower(): v for k, v in seen.headers.items()}
        assert (seen.path, seen.body["model"]) == ("/api/v2/chat/completions", "their-model")
        assert headers["authorization"] == "Bearer their-key"
        assert headers["host"] == "localhost"
        assert not [h for h in headers if h.startswith("x-berth")]
        assert gate.chat(model="elsewhere").status == 404, "clients cannot name it"
        assert [m["id"] for m in gate.call("GET", "/v1/models").json()["data"]] == ["chat"]
        assert gate.call("POST", "/models/chat/generate", {"inputs": "x"}).status == 503
        assert (tmp_path / "rds.json").stat().st_mode & 0o077 == 0
        assert "their-key" not in gate.admin.metrics() + gate.errors.read_text() + gate.log.read_text()


def test_retries_have_a_budget(tmp_path: Path, engines: Engines) -> None:
    (fake,) = engines(1)
    with gateway(tmp_path) as gate:
        gate.join("chat", fake.port)
        fake.default = {"status": 503}
        with ThreadPoolExecutor(20) as pool:
            statuses = [a.status for a in pool.map(lambda i: gate.chat(f"{i}"), range(60))]
        assert set(statuses) == {503}
        assert len(fake.seen) < 60 * 2.5


def test_more_than_max_requests_are_refused_at_once(tmp_path: Path, engines: Engines) -> None:
    (fake,) = engines(1)
    with gateway(tmp_path, model(max_requests=4)) as gate:
        gate.join("chat", fake.port)
        waiting = "cluster.chat.upstream_rq_pending_active"
        with ThreadPoolExecutor(8) as pool:
            with released(fake):
                taken = []
                for _ in range(4):  # one by one: a request whose connection is being made counts as waiting
                    taken.append(pool.submit(gate.chat, **HELD))
                    until(lambda: fake.open == len(taken), "it is in the engine")
                taken += [pool.submit(gate.chat, **HELD) for _ in range(4)]
                until(lambda: gate.admin.stats(f"^{waiting}$")[waiting] == 4, "four wait for a connection")
                assert [gate.chat().status for _ in range(8)] == [503] * 8
            assert [a.result().status for a in taken] == [200] * 8, "four in flight, four waiting for a connection"


def test_a_stream_that_breaks_in_the_middle_is_seen_as_broken(tmp_path: Path, engines: Engines) -> None:
    (fake,) = engines(1)
    with gateway(tmp_path) as gate:
        gate.join("chat", fake.port)
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
            gate.chat(stream=True, fake={"tokens": 5, "die": 2, "gap_ms": 50})
        assert len(fake.seen) == 1, "never retried after the first byte"


def test_slow_first_bytes_are_not_buffered(tmp_path: Path, engines: Engines) -> None:
    (fake,) = engines(1)
    with gateway(tmp_path) as gate:
        gate.join("chat", fake.port)
        connection = http.client.HTTPConnection("127.0.0.1", gate.spec.port, timeout=10)
        body = {"model": "chat", "messages": [], "stream": True, "fake": {"tokens": 4, "gap_ms": 1000}}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"authorization": f"Bearer {KEY}"})
        answer = connection.getresponse()
        times = []
        while answer.readline():
            times.append(time.monotonic())
        connection.close()
        assert times[-1] - times[0] > 1.5, "events arrive one by one"
