"""The adapter of TEI."""

import pytest

from serving.engines import Api, EngineError, Limits, Replica, Task, engine

LIMITS = Limits(512, 512, 16, 32, max_batch_prefill_tokens=2048)


def replica(**changes: object) -> Replica:
    made: dict[str, object] = {"model": "embed", "weights": "/models/embed", "port": 8080, "limits": LIMITS}
    return Replica(**(made | changes))  # type: ignore[arg-type]


def test_requests_are_counted_by_their_inputs() -> None:
    env = engine("tei").env(replica())
    assert env["MAX_CONCURRENT_REQUESTS"] == str((16 + 32) * 32)
    assert env["MAX_BATCH_TOKENS"] == "2048"
    fewer = engine("tei").env(replica(options={"max-client-batch-size": "4"}))
    assert (fewer["MAX_CONCURRENT_REQUESTS"], fewer["MAX_CLIENT_BATCH_SIZE"]) == (str((16 + 32) * 4), "4")


def test_long_inputs_are_refused_unless_asked_otherwise() -> None:
    assert engine("tei").env(replica())["AUTO_TRUNCATE"] == "false"
    assert engine("tei").env(replica(options={"auto-truncate": "true"}))["AUTO_TRUNCATE"] == "true"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shards": 2}, "TEI cannot split a model over GPUs"),
        ({"limits": Limits(512, 512, 8, max_batch_prefill_tokens=400)}, "the longest input fits no batch"),
        ({"gpu": False, "options": {"dtype": "float16"}}, "cannot compute without a GPU; write float32"),
        ({"options": {"dtype": "bfloat16"}}, "it must be one of float16, float32"),
        ({"options": {"quantize": "awq"}}, "in 16 or 32 bits; set dtype"),
        ({"options": {"default-prompt": "query: ", "default-prompt-name": "query"}}, "exclude each other"),
        ({"options": {"hf-token": "secret"}}, "nothing is downloaded at start"),
    ],
)
def test_impossible_replicas_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(EngineError, match=message):
        engine("tei").env(replica(**changes))


def test_an_answer_of_the_local_engine_is_an_answer_of_tei() -> None:
    """Whoever moves from the kit's encoder to TEI loses no route."""
    routes = set(engine("tei").routes(Task.EMBED))
    assert set(engine("local").routes(Task.EMBED)) <= routes
    assert {route.path for route in routes if route.api is Api.OPENAI} == {"/v1/embeddings"}


def test_text_is_not_served() -> None:
    for ask in (engine("tei").routes, engine("tei").metrics):
        with pytest.raises(EngineError, match="engine tei does not serve task generate; it serves embed"):
            ask(Task.GENERATE)
