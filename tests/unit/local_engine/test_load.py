"""Admission, queue, batches and clients that go away, on running servers."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

pytestmark = pytest.mark.thorough

DELAY_MS = 50
SLOW = ("--token-delay-ms", str(DELAY_MS))


@pytest.fixture(scope="module")
def narrow(serve):
    """Two at once, two waiting, 50 ms a token: what is running still runs when a busy machine comes to look."""
    return serve("tiny-gpt2", "--max-concurrent-requests", "2", "--max-queued-requests", "2", *SLOW)


def test_more_than_running_and_queued_is_429(narrow):
    gate = threading.Barrier(8)

    def ask(_: int):
        gate.wait()
        return narrow.post("/generate", {"inputs": "It was", "parameters": {"max_new_tokens": 40}})

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    assert sorted(answer.status for answer in answers) == [200] * 4 + [429] * 4
    for answer in answers:
        if answer.status == 429:
            assert answer.json == {"error": "Model is overloaded", "error_type": "overloaded"}
            assert "Retry-After" not in answer.headers, "TGI sends none"
    assert narrow.metric('tgi_request_failure{err="overloaded"}') == 4
    narrow.eventually("tgi_batch_current_size", 0)


def test_overload_in_a_stream_is_200_with_an_error_event(narrow, stream):
    streams = [stream(narrow, 60) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        body = {"inputs": "It was", "parameters": {"max_new_tokens": 1}}
        waiting = [pool.submit(narrow.post, "/generate", body) for _ in range(2)]
        narrow.eventually("tgi_queue_size", 2)
        refused = narrow.post("/generate_stream", body)
        chat = {"messages": [{"role": "user", "content": "x"}], "stream": True}
        refused_chat = narrow.post("/v1/chat/completions", chat)
        for one in streams:
            one.finish()
        assert [answer.result().status for answer in waiting] == [200, 200]
    assert refused.status == 200
    assert refused.events == [{"error": "Model is overloaded", "error_type": "overloaded"}]
    assert refused_chat.events == [{"error": {"message": "Model is overloaded", "http_status_code": 422}}, "[DONE]"]


def test_waiting_requests_are_seen_in_the_queue_and_then_served(narrow, stream):
    streams = [stream(narrow, 50) for _ in range(2)]
    assert narrow.metric("tgi_batch_current_size") == 2
    assert narrow.metric("tgi_batch_current_max_tokens") == 2 * (3 + 50)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(
            narrow.post, "/generate", {"inputs": "It was", "parameters": {"max_new_tokens": 1, "details": True}}
        )
        narrow.eventually("tgi_queue_size", 1)
        assert not waiting.done()
        for one in streams:
            one.finish()
        answer = waiting.result()
    assert answer.status == 200
    assert int(answer.headers["x-queue-time"]) > 100
    assert narrow.metric("tgi_queue_size") == 0


def test_client_that_goes_away_frees_its_place_and_counts_as_dropped(narrow, stream):
    before = narrow.metric('tgi_request_failure{err="dropped"}')
    success = narrow.metric("tgi_request_success")
    streams = [stream(narrow, 500) for _ in range(2)]
    for one in streams:
        one.close()
    narrow.eventually("tgi_batch_current_size", 0)
    assert narrow.metric('tgi_request_failure{err="dropped"}') == before + 2
    assert narrow.metric("tgi_request_success") == success
    assert narrow.post("/generate", {"inputs": "x", "parameters": {"max_new_tokens": 1}}).status == 200


def test_client_that_goes_away_while_it_waits_leaves_the_queue(narrow, stream):
    streams = [stream(narrow, 60) for _ in range(2)]
    connection = narrow.connect()
    connection.request("POST", "/generate", '{"inputs": "x"}', {"content-type": "application/json"})
    narrow.eventually("tgi_queue_size", 1)
    connection.close()
    narrow.eventually("tgi_queue_size", 0)
    for one in streams:
        assert one.finish()[-1]["details"]["finish_reason"] == "length"


def test_token_delay_paces_every_answer(narrow):
    answer = narrow.post("/generate", {"inputs": "It was", "parameters": {"max_new_tokens": 20}})
    assert int(answer.headers["x-inference-time"]) >= DELAY_MS * 20
    assert narrow.metric('local_time_to_first_token_seconds_bucket{le="0.0129746337891"}') == 0


def test_requests_that_wait_together_share_batches_and_get_the_answers_they_would_have_had_alone(serve):
    server = serve("tiny-gpt2", "--workers", "1", "--max-concurrent-requests", "16")
    prompts = ["It was a dark night", "The whale", "My fellow Americans,", "We must not forget that"]

    def ask(prompt: str) -> str:
        body = {"inputs": prompt, "parameters": {"max_new_tokens": 40}}
        return server.post("/generate", body).json["generated_text"]

    alone = [ask(prompt) for prompt in prompts]
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(ask, prompts * 8)) == alone * 8
    server.eventually("tgi_batch_next_size_sum", 4 + 32)
    batches = server.metric("tgi_batch_next_size_count")
    assert batches < 4 + 32
    assert server.metric('tgi_batch_inference_success{method="prefill"}') == batches
    assert 39 * batches <= server.metric('tgi_batch_inference_success{method="decode"}')


def test_sixteen_clients_at_once_all_get_whole_answers(chat):
    def ask(index: int):
        parameters = {"max_new_tokens": 30, "do_sample": index % 2 == 0, "details": True}
        return chat.post("/generate_stream", {"inputs": f"Number {index} said", "parameters": parameters})

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(48)))
    for answer in answers:
        events = answer.events
        assert [event["index"] for event in events] == list(range(1, len(events) + 1))
        assert events[-1]["details"]["generated_tokens"] == len(events)
        visible = (event["token"]["text"] for event in events if not event["token"]["special"])
        assert "".join(visible) == events[-1]["generated_text"]
