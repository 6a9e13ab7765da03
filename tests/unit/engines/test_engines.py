"""Engine adapters: plain values in, plain strings out."""

import sys

import pytest

from serving.engines import CONTAINER_PORT, ENGINES, Api, Engine, EngineError, Limits, Replica, Task, engine
from serving.local_engine.options import parse

LIMITS = Limits(max_input_tokens=3072, max_total_tokens=4096, max_concurrent_requests=32, max_queued_requests=96)
SMALL = Limits(max_input_tokens=384, max_total_tokens=512, max_concurrent_requests=8, max_queued_requests=16)


def replica(limits: Limits = SMALL, **changes) -> Replica:
    return Replica(**{"model": "chat", "weights": "/models/chat", "port": 8080, "limits": limits} | changes)


def test_unknown_engine_is_an_error_with_a_suggestion():
    with pytest.raises(EngineError, match=r"unknown engine 'tgii'; did you mean 'tgi'\?"):
        engine("tgii")
    with pytest.raises(EngineError, match="unknown engine 'x'; known: local, tei, tgi, vllm"):
        engine("x")


def test_local_engine_is_started_by_this_python_with_every_limit():
    command = engine("local").command(replica(options={"token-delay-ms": "2.5", "workers": "2"}))
    assert command[:3] == (sys.executable, "-m", "serving.local_engine")
    flags = dict(zip(command[3::2], command[4::2], strict=True))
    assert flags == {
        "--model-id": "chat",
        "--weights": "/models/chat",
        "--port": "8080",
        "--max-input-tokens": "384",
        "--max-total-tokens": "512",
        "--max-concurrent-requests": "8",
        "--max-queued-requests": "16",
        "--drain-seconds": "30",
        "--token-delay-ms": "2.5",
        "--workers": "2",
    }


def test_local_engine_takes_its_command_in_a_container():
    command = engine("local").container_command(replica(port=CONTAINER_PORT, gpu=False, options={"workers": "2"}))
    assert command[:3] == ("python", "-m", "serving.local_engine")
    taken = parse(command[3:])
    assert (taken.host, taken.port, taken.workers) == ("0.0.0.0", 8080, 2)  # noqa: S104 - read, not bound
    assert (taken.max_total_tokens, taken.max_queued_requests) == (512, 16)


def test_port_may_be_a_placeholder():
    assert "{port}" in engine("local").command(replica(port="{port}"))
    assert engine("tgi").env(replica(LIMITS, port="{port}"))["PORT"] == "{port}"


def test_tgi_is_configured_by_environment_alone():
    tgi = engine("tgi")
    wanted = replica(LIMITS, shards=2, options={"quantize": "fp8", "kv-cache-dtype": "fp8_e5m2"})
    assert tgi.command(wanted) == ()
    env = tgi.env(wanted)
    assert list(env) == sorted(env)
    assert env == {
        "GRACEFUL_TERMINATION_TIMEOUT": "90",
        "HF_HUB_OFFLINE": "1",
        "HOSTNAME": "0.0.0.0",  # noqa: S104
        "JSON_OUTPUT": "true",
        "KV_CACHE_DTYPE": "fp8_e5m2",
        "LOG_COLORIZE": "0",
        "MAX_BATCH_SIZE": "32",
        "MAX_CONCURRENT_REQUESTS": "128",
        "MAX_INPUT_TOKENS": "3072",
        "MAX_TOTAL_TOKENS": "4096",
        "MODEL_ID": "/models/chat",
        "NUM_SHARD": "2",
        "PORT": "8080",
        "QUANTIZE": "fp8",
        "USAGE_STATS": "off",
    }


def test_prefill_budget_of_tgi_is_passed_on():
    limits = Limits(3072, 4096, 32, max_batch_prefill_tokens=8192)
    assert engine("tgi").env(replica(limits))["MAX_BATCH_PREFILL_TOKENS"] == "8192"


@pytest.mark.parametrize("made", ENGINES.values(), ids=ENGINES)
def test_every_reason_is_given_at_once_with_its_place(made: Engine):
    wrong = replica(Limits(600, 512, 0), options={"validation-workerz": "2", "port": "1", numbered(made): "many"})
    with pytest.raises(EngineError) as refused:
        made.env(wrong)
    lines = str(refused.value).splitlines()
    place = f"chat on engine {made.name}: "
    assert all(line.startswith(place) for line in lines)
    reasons = "\n".join(line.removeprefix(place) for line in lines)
    assert "max_concurrent_requests is 0; it must be at least 1" in reasons
    assert "max_input_tokens is 600; it must not be above max_total_tokens (512)" in reasons
    assert "unknown option 'validation-workerz'" in reasons
    assert "option 'port' is set by the kit; " in reasons
    assert f"option '{numbered(made)}' is 'many'; it must be a whole number from " in reasons


def numbered(made: Engine) -> str:
    """An option that takes a number."""
    return next(name for name in ("max-client-batch-size", "max-loras") if name in made.options)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("local", {"shards": 2}, "shards is 2; the local engine runs a model in one process"),
        ("local", {"options": {"token-delay-ms": "-1"}}, "must be a number from 0 to 60000"),
        ("local", {"options": {"tokens-delay-ms": "1"}}, "did you mean 'token-delay-ms'"),
        ("tgi", {"limits": Limits(512, 512, 8)}, "nothing could follow"),
        (
            "tgi",
            {"limits": Limits(500, 512, 8, max_batch_prefill_tokens=400), "options": {"prefill-chunking": "0"}},
            "the longest prompt fits no batch",
        ),
        ("tgi", {"options": {"dtype": "float16", "quantize": "awq"}}, "exclude each other"),
        ("tgi", {"options": {"quantise": "awq"}}, "did you mean 'quantize'"),
        ("tgi", {"options": {"quantize": "int3"}}, "it must be one of awq, bitsandbytes"),
        ("tgi", {"options": {"api-key": "secret"}}, "keys belong to the gateway"),
        ("tgi", {"options": {"cuda-memory-fraction": "1.5"}}, "must be a number from 0.05 to 1"),
    ],
)
def test_impossible_replica_is_refused_with_the_way_out(name: str, changes: dict, message: str):
    with pytest.raises(EngineError, match=message):
        engine(name).env(replica(**changes))


@pytest.mark.parametrize("made", ENGINES.values(), ids=ENGINES)
def test_an_open_stream_outlives_the_drain(made: Engine):
    drain = made.drain
    assert drain.grace_seconds > drain.prestop_seconds + drain.engine_seconds
    assert drain.signal == "TERM"


@pytest.mark.parametrize("made", ENGINES.values(), ids=ENGINES)
def test_no_route_reaches_metrics_or_docs_and_openai_routes_are_versioned(made: Engine):
    for task in made.tasks:
        routes = made.routes(task)
        assert len(routes) == len(set(routes))
        for route in routes:
            assert "metrics" not in route.path
            assert "docs" not in route.path
            assert route.api is Api.NATIVE or route.path.startswith("/v1/")


def test_engines_speak_the_same_protocol_for_text():
    assert engine("local").routes(Task.GENERATE) == engine("tgi").routes(Task.GENERATE)


def test_tgi_does_not_embed():
    for ask in (engine("tgi").routes, engine("tgi").metrics):
        with pytest.raises(EngineError, match="engine tgi does not serve task embed; it serves generate"):
            ask(Task.EMBED)


def test_counters_of_tgi_have_no_total_suffix():
    names = engine("tgi").metrics(Task.GENERATE)
    assert names.success == "tgi_request_success"
    assert names.failure == "tgi_request_failure"
    assert names.ttft is None, "TGI exports no time to first token"
