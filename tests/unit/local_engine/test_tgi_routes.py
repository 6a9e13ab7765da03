"""TGI's native routes against a running server."""

import pytest

GREEDY = {"max_new_tokens": 6, "details": True}


def test_generate_answers_with_text_details_and_timing_headers(chat):
    answer = chat.post("/generate", {"inputs": "The whale", "parameters": GREEDY})
    assert answer.status == 200
    details = answer.json["details"]
    assert details["finish_reason"] == "length"
    assert details["generated_tokens"] == 6
    assert details["prefill"] == []
    assert details["seed"] is None
    assert [set(token) for token in details["tokens"]] == [{"id", "text", "logprob", "special"}] * 6
    assert "".join(token["text"] for token in details["tokens"]) == answer.json["generated_text"]
    assert all(token["logprob"] < 0 for token in details["tokens"])
    headers = answer.headers
    assert headers["x-compute-type"] == "cpu"
    assert headers["x-compute-characters"] == "9"
    assert (headers["x-prompt-tokens"], headers["x-generated-tokens"]) == ("2", "6")
    assert 0 < float(headers["x-compute-time"]) < 60
    for name in ("x-total-time", "x-validation-time", "x-queue-time", "x-inference-time", "x-time-per-token"):
        assert headers[name].isdecimal(), "whole milliseconds"


def test_details_come_only_when_asked_for(chat):
    answer = chat.post("/generate", {"inputs": "The whale", "parameters": {"max_new_tokens": 2}})
    assert set(answer.json) == {"generated_text"}


def test_stream_has_an_event_a_token_and_the_text_in_the_last(chat):
    whole = chat.post("/generate", {"inputs": "The whale", "parameters": GREEDY}).json
    answer = chat.post("/generate_stream", {"inputs": "The whale", "parameters": GREEDY})
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["x-accel-buffering"] == "no"
    events = answer.events
    assert [event["index"] for event in events] == [1, 2, 3, 4, 5, 6]
    assert [event["token"] for event in events] == whole["details"]["tokens"]
    assert [event["generated_text"] for event in events] == [None] * 5 + [whole["generated_text"]]
    assert [event["details"] for event in events[:-1]] == [None] * 5
    assert events[-1]["details"] == {
        "finish_reason": "length",
        "generated_tokens": 6,
        "seed": None,
        "input_length": 2,
    }


def test_root_wraps_the_answer_in_a_list_and_returns_the_full_text_unless_told_otherwise(chat):
    new = chat.post("/generate", {"inputs": "The whale", "parameters": {"max_new_tokens": 3}}).json["generated_text"]
    full = chat.post("/", {"inputs": "The whale", "parameters": {"max_new_tokens": 3}})
    assert full.json == [{"generated_text": "The whale" + new}]
    parameters = {"max_new_tokens": 3, "return_full_text": False}
    assert chat.post("/", {"inputs": "The whale", "parameters": parameters}).json == [{"generated_text": new}]
    streamed = chat.post("/", {"inputs": "The whale", "parameters": parameters, "stream": True})
    assert streamed.events[-1]["generated_text"] == new


def test_stop_sequence_ends_the_answer_and_stays_in_it_as_in_tgi(chat):
    parameters = {"max_new_tokens": 40, "stop": [","], "details": True}
    answer = chat.post("/generate", {"inputs": "The whale", "parameters": parameters}).json
    assert answer["details"]["finish_reason"] == "stop_sequence"
    assert answer["generated_text"].endswith(",")
    assert answer["generated_text"].count(",") == 1


def test_end_token_is_reported_and_left_out_of_the_text(chat):
    answer = chat.post("/generate", {"inputs": "Thank you. God bless America.\n", "parameters": {"details": True}}).json
    assert answer["details"]["finish_reason"] == "eos_token"
    *tokens, last = answer["details"]["tokens"]
    assert (last["id"], last["text"], last["special"]) == (0, "<|endoftext|>", True)
    assert answer["generated_text"] == "".join(token["text"] for token in tokens)


def test_answer_may_be_empty(chat):
    answer = chat.post("/generate", {"inputs": "Thank you, and God bless you.", "parameters": {"details": True}}).json
    assert answer["generated_text"] == ""
    assert answer["details"]["generated_tokens"] == 1, "the end token"


def test_without_max_new_tokens_the_context_is_filled(chat):
    parameters = {"details": True}  # greedy, and this prompt's answer goes round in circles
    details = chat.post("/generate", {"inputs": "The whale", "parameters": parameters}).json["details"]
    assert (details["finish_reason"], details["generated_tokens"]) == ("length", 510)


def test_without_parameters_the_answer_is_sampled(chat):
    answers = {chat.post("/generate", {"inputs": "The"}).json["generated_text"] for _ in range(2)}
    assert len(answers) == 2


def test_seed_makes_sampling_repeatable_and_is_reported(chat):
    def ask(seed: int):
        parameters = {"max_new_tokens": 20, "do_sample": True, "temperature": 1.3, "seed": seed, "details": True}
        return chat.post("/generate", {"inputs": "The", "parameters": parameters}).json

    first, again, other = ask(7), ask(7), ask(2**63 + 7)
    assert first == again
    assert first["details"]["seed"] == 7
    assert other["generated_text"] != first["generated_text"]


def test_truncate_keeps_the_end_of_the_prompt(chat):
    parameters = {"max_new_tokens": 4, "details": True}
    short = chat.post("/generate", {"inputs": " The whale", "parameters": parameters})
    cut = chat.post("/generate", {"inputs": "x y z The whale", "parameters": parameters | {"truncate": 2}})
    assert cut.headers["x-prompt-tokens"] == "2"
    assert cut.json == short.json


def test_tokenize_gives_ids_texts_and_places(chat):
    assert chat.post("/tokenize", {"inputs": "The sea"}).json == [
        {"id": 1588, "text": "The", "start": 0, "stop": 3},
        {"id": 1073, "text": " sea", "start": 3, "stop": 7},
    ]


def test_info_has_the_fields_of_tgi_3(chat):
    info = chat.get("/info").json
    assert list(info) == [
        *("model_id", "model_sha", "model_pipeline_tag", "max_concurrent_requests", "max_best_of"),
        *("max_stop_sequences", "max_input_tokens", "max_total_tokens", "validation_workers"),
        *("max_client_batch_size", "router", "version", "sha", "docker_label"),
    ]
    assert (info["model_id"], info["model_pipeline_tag"]) == ("test", "text-generation")
    assert (info["max_input_tokens"], info["max_total_tokens"]) == (511, 512)
    assert info["max_concurrent_requests"] == 8 + 64, "what may run and wait, as TGI means it"


def test_models_lists_the_one_model(chat):
    model = {"id": "test", "object": "model", "created": 0, "owned_by": "test"}
    assert chat.get("/v1/models").json == {"object": "list", "data": [model]}


def test_health_is_empty_and_ok(chat):
    for path in ("/health", "/ping", "/"):
        assert chat.get(path)[::2] == (200, "")


@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        ({"temperature": 0}, "`temperature` must be strictly positive"),
        ({"top_p": 1.0}, "`top_p` must be > 0.0 and < 1.0"),
        ({"top_k": 0}, "`top_k` must be strictly positive"),
        ({"repetition_penalty": 0}, "`repetition_penalty` must be strictly positive"),
        ({"max_new_tokens": 0}, "`max_new_tokens` must be strictly positive"),
        ({"truncate": 512}, "`truncate` must be strictly positive and less than 511. Given: 512"),
        ({"stop": list("abcde")}, "`stop` supports up to 4 stop sequences. Given: 5"),
        (
            {"max_new_tokens": 600},
            "`inputs` tokens + `max_new_tokens` must be <= 512. Given: 1 `inputs` tokens and 600 `max_new_tokens`",
        ),
        ({"best_of": 2}, "the local engine does not support `best_of`"),
        ({"grammar": {"type": "regex", "value": "a"}}, "the local engine does not support `grammar`"),
        (
            {"top_n_tokens": 2, "typical_p": 0.5, "watermark": True},
            "the local engine does not support `typical_p`, `watermark`, `top_n_tokens`",
        ),
        ({"decoder_input_details": True}, "the local engine does not support `decoder_input_details`"),
        ({"frequency_penalty": 0.1}, "the local engine does not support `frequency_penalty`"),
    ],
)
def test_broken_rule_is_422_with_tgis_body_and_in_a_stream_an_event(chat, parameters, rule):
    body = {"inputs": "x", "parameters": parameters}
    expected = {"error": f"Input validation error: {rule}", "error_type": "validation"}
    plain = chat.post("/generate", body)
    assert (plain.status, plain.json) == (422, expected)
    streamed = chat.post("/generate_stream", body)
    assert (streamed.status, streamed.events) == (200, [expected])


@pytest.mark.parametrize(
    ("inputs", "rule"),
    [
        ("", "`inputs` cannot be empty"),
        ("whale " * 600, "tokens + `max_new_tokens` must be <= 512"),
        ("\ud800", "not valid Unicode"),
    ],
)
def test_unusable_input_is_422(chat, inputs, rule):
    answer = chat.post("/generate", {"inputs": inputs, "parameters": {"max_new_tokens": 1}})
    assert answer.status == 422
    assert rule in answer.json["error"]
    assert answer.json["error_type"] == "validation"


def test_too_long_prompt_is_told_apart_from_too_long_an_answer(serve):
    server = serve("tiny-gpt2", "--max-input-tokens", "10", "--max-total-tokens", "100")
    answer = server.post("/generate", {"inputs": " whale" * 11, "parameters": {"max_new_tokens": 1}})
    assert answer.status == 422
    assert answer.json["error"] == "Input validation error: `inputs` must have less than 10 tokens. Given: 11"


@pytest.mark.parametrize(
    ("body", "status", "problem"),
    [
        ("{", 400, "Failed to parse the request body as JSON"),
        ('{"inputs": "x", "parameters": {"temperature": NaN}}', 400, "NaN is not JSON"),
        ("[]", 422, "the request body must be a JSON object"),
        ("{}", 422, "`inputs` is missing"),
        ('{"inputs": 1}', 422, "`inputs` must be a string"),
        ('{"inputs": "x", "parameters": []}', 422, "`parameters` must be an object"),
        ('{"inputs": "x", "parameters": {"top_k": "3"}}', 422, "`top_k` must be a whole number"),
        ('{"inputs": "x", "parameters": {"seed": true}}', 422, "`seed` must be a whole number"),
        ('{"inputs": "x", "parameters": {"stop": "a"}}', 422, "`stop` must be a list of strings"),
        ('{"inputs": "x", "parameters": {"details": 1}}', 422, "`details` must be true or false"),
        ('{"inputs": "' + "x" * 2_000_001 + '"}', 413, "the body is larger than 2000000 bytes"),
    ],
)
@pytest.mark.parametrize("path", ["/generate", "/generate_stream"])
def test_malformed_body_is_refused_before_a_stream_begins(chat, path, body, status, problem):
    answer = chat.post(path, body)
    assert answer.status == status
    assert problem in answer.json["error"]


def test_unknown_route_and_method_are_refused(chat):
    assert chat.get("/docs").status == 404
    assert chat.get("/generate").status == 405
    assert chat.post("/embed", {"inputs": "x"}).status == 404


def test_log_has_counts_and_ids_but_no_text(serve):
    server = serve("tiny-gpt2")
    server.post(
        "/generate",
        {"inputs": "a secret prompt", "parameters": {"max_new_tokens": 2}},
        **{"x-request-id": "abc-1", "authorization": "Bearer key"},
    )
    server.stop()
    lines = [line for line in server.log if line["event"] == "request"]
    assert len(lines) == 1
    assert lines[0]["request_id"] == "abc-1"
    assert (lines[0]["route"], lines[0]["outcome"], lines[0]["generated_tokens"]) == ("/generate", "length", 2)
    assert "secret" not in str(server.log)
    assert "key" not in str(server.log)
