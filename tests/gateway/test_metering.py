"""Tokens by tenant and model, as the engine counts them."""

from collections.abc import Callable
from pathlib import Path

from serving.engines import Task
from serving.gateway import Tenant, digest
from tests.fakes.engine import FakeEngine
from tests.gateway.harness import KEY, Gateway, gateway, model, until

Engines = Callable[[int], list[FakeEngine]]


def _tokens(gate: Gateway, kind: str, tenant: str, model: str) -> str:
    name = f'envoy_berth_{kind}{{tenant="{tenant}",model="{model}"}} '
    return next((line.removeprefix(name) for line in gate.admin.metrics().splitlines() if line.startswith(name)), "0")


def test_usage_is_booked_by_tenant_and_model(tmp_path: Path, engines: Engines) -> None:
    chat, embed = engines(2)
    tenants = (Tenant("acme", (digest(KEY),)), Tenant("other", (digest("k"),)))
    details = {"cached_tokens": 4}
    chat.usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10, "prompt_tokens_details": details}
    embed.usage = {"prompt_tokens": 11, "total_tokens": 11}
    with gateway(tmp_path, model("chat"), model("embed", Task.EMBED), tenants=tenants) as gate:
        gate.join("chat", chat.port)
        gate.join("embed", embed.port)
        gate.chat()
        gate.chat(stream=True)
        gate.chat(stream=True, stream_options={"include_usage": True})
        gate.call("POST", "/v1/embeddings", {"model": "embed", "input": "x"}, key="k")
        gate.call("POST", "/models/chat/generate", {"inputs": "x"}, key="k")
        until(lambda: _tokens(gate, "prompt_tokens", "acme", "chat") == "21", "three times seven")
        assert _tokens(gate, "generated_tokens", "acme", "chat") == "9"
        assert _tokens(gate, "cached_tokens", "acme", "chat") == "12"
        until(lambda: _tokens(gate, "prompt_tokens", "other", "embed") == "11", "the embedding")
        until(lambda: _tokens(gate, "generated_tokens", "other", "chat") == "3", "TGI's details")
        log = gate.logged(5)
        told = [(e["prompt_tokens"], e["generated_tokens"], e["cached_tokens"]) for e in log[:3]]
        assert told == [("7", "3", "4")] * 3
        assert (log[3]["tenant"], log[3]["prompt_tokens"], log[3]["generated_tokens"]) == ("other", "11", "0")


def test_clients_get_the_usage_event_only_when_they_ask(tmp_path: Path, engines: Engines) -> None:
    (fake,) = engines(1)
    with gateway(tmp_path) as gate:
        gate.join("chat", fake.port)
        silent = gate.chat(stream=True)
        assert fake.seen[-1].body["stream_options"] == {"include_usage": True}
        assert b"usage" not in silent.body
        assert silent.body.count(b"data: ") == 4
        assert silent.body.endswith(b"data: [DONE]\n\n")
        told = gate.chat(stream=True, stream_options={"include_usage": True})
        assert told.body.count(b'"usage"') == 1


def test_a_stream_without_usage_is_counted_by_its_pieces(tmp_path: Path, engines: Engines) -> None:
    (fake,) = engines(1)
    with gateway(tmp_path) as gate:
        gate.join("chat", fake.port)
        gate.call("POST", "/models/chat/generate_stream", {"inputs": "x" * 400, "fake": {"tokens": 5, "gap_ms": 30}})
        (line,) = gate.logged(1)
        assert line["prompt_tokens"] == "100", "four bytes a token until an engine has said more"
        assert 5 <= int(line["generated_tokens"]) <= 7
        assert line["path"] == "/models/chat/generate_stream"
