"""The OpenAI routes of a generating server, with TGI's peculiarities."""

import pytest

QUESTION = {"model": "tgi", "messages": [{"role": "user", "content": "The sea"}], "temperature": 0}


def test_chat_answers_with_a_message_and_usage(chat):
    answer = chat.post("/v1/chat/completions", QUESTION | {"max_tokens": 5})
    assert answer.status == 200
    body = answer.json
    assert (body["object"], body["model"], body["system_fingerprint"]) == (
        "chat.completion",
        "test",
        "ctranslate2-4.8.5-native",
    )
    (choice,) = body["choices"]
    assert (choice["index"], choice["finish_reason"], choice["logprobs"]) == (0, "length", None)
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["content"]
    assert body["usage"] == {
        "prompt_tokens": 3,
        "completion_tokens": 5,
        "total_tokens": 8,
        "prompt_tokens_details": {"cached_tokens": 0},
    }
    assert answer.headers["x-generated-tokens"] == "5"


def test_chat_template_of_the_model_makes_the_prompt(chat):
    messages = [{"role": "system", "content": "The"}, {"role": "user", "content": [{"type": "text", "text": "sea"}]}]
    asked = chat.post("/v1/chat/completions", QUESTION | {"messages": messages, "max_tokens": 6}).json
    prompt = {"inputs": "The\nsea\n", "parameters": {"max_new_tokens": 6}}
    assert asked["choices"][0]["message"]["content"] == chat.post("/generate", prompt).json["generated_text"]


def test_chat_stream_has_a_chunk_a_token_then_done(chat):
    whole = chat.post("/v1/chat/completions", QUESTION | {"max_tokens": 4}).json
    *chunks, done = chat.post("/v1/chat/completions", QUESTION | {"max_tokens": 4, "stream": True}).events
    assert done == "[DONE]"
    assert len(chunks) == 4
    deltas = [chunk["choices"][0] for chunk in chunks]
    assert "".join(delta["delta"]["content"] for delta in deltas) == whole["choices"][0]["message"]["content"]
    assert [delta["finish_reason"] for delta in deltas] == [None, None, None, "length"]
    assert all(chunk["usage"] is None and chunk["object"] == "chat.completion.chunk" for chunk in chunks)


def test_chat_stream_ends_with_usage_when_asked(chat):
    body = QUESTION | {"max_tokens": 4, "stream": True, "stream_options": {"include_usage": True}}
    *_, usage, done = chat.post("/v1/chat/completions", body).events
    assert done == "[DONE]"
    assert usage["choices"] == []
    assert usage["usage"]["prompt_tokens"] == 3
    assert usage["usage"]["completion_tokens"] == 4


def test_chat_gives_log_probabilities_when_asked(chat):
    body = QUESTION | {"max_tokens": 2, "logprobs": True}
    content = chat.post("/v1/chat/completions", body).json["choices"][0]["logprobs"]["content"]
    assert [set(token) for token in content] == [{"token", "logprob", "top_logprobs"}] * 2
    first = chat.post("/v1/chat/completions", body | {"stream": True}).events[0]
    assert first["choices"][0]["logprobs"]["content"] == content[:1]


def test_stop_may_be_a_string_and_ends_with_reason_stop(chat):
    body = QUESTION | {"max_tokens": 60, "stop": ","}
    choice = chat.post("/v1/chat/completions", body).json["choices"][0]
    assert choice["finish_reason"] == "stop"
    assert choice["message"]["content"].endswith(",")


def test_both_names_of_the_token_limit_are_taken(chat):
    for name in ("max_tokens", "max_completion_tokens"):
        assert chat.post("/v1/chat/completions", QUESTION | {name: 3}).json["usage"]["completion_tokens"] == 3


def test_chat_samples_unless_the_temperature_is_zero(chat):
    body = {key: value for key, value in QUESTION.items() if key != "temperature"} | {"max_tokens": 30}
    texts = {chat.post("/v1/chat/completions", body).json["choices"][0]["message"]["content"] for _ in range(3)}
    assert len(texts) > 1
    seeded = [chat.post("/v1/chat/completions", body | {"seed": 3}).json["choices"] for _ in range(2)]
    assert seeded[0] == seeded[1]


@pytest.mark.parametrize(
    ("change", "status", "problem", "kind"),
    [
        ({"messages": []}, 422, "`messages` must be a list of at least one message", "validation"),
        ({"messages": [{"content": "x"}]}, 422, "each message must have a `role`", "validation"),
        ({"messages": [{"role": "user", "content": 3}]}, 422, "`content` of a message must be", "validation"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            422,
            "image_url modality is not supported",
            "validation",
        ),
        ({"tools": [{"type": "function"}]}, 422, "the local engine does not support `tools`", "validation"),
        ({"n": 2, "logit_bias": {"1": 1}}, 422, "does not support `logit_bias`, `n`", "validation"),
        ({"response_format": {"type": "json_object"}}, 422, "does not support `response_format`", "validation"),
        ({"logprobs": True, "top_logprobs": 3}, 422, "does not support `top_logprobs`", "validation"),
        ({"max_tokens": 600}, 422, "`max_new_tokens` must be <= 512", "validation"),
        ({"top_p": 1.0}, 422, "`top_p` must be > 0.0 and < 1.0", "validation"),
        ({"temperature": "hot"}, 422, "`temperature` must be a number", "validation"),
        ({"stream": "yes"}, 422, "`stream` must be true or false", "validation"),
    ],
)
def test_bad_chat_request_is_refused(chat, change, status, problem, kind):
    answer = chat.post("/v1/chat/completions", QUESTION | change)
    assert answer.status == status
    assert problem in answer.json["error"]
    assert answer.json["error_type"] == kind


def test_error_in_a_chat_stream_is_an_event_that_says_422(chat):
    answer = chat.post("/v1/chat/completions", QUESTION | {"max_tokens": 600, "stream": True})
    assert answer.status == 200
    error, done = answer.events
    assert error["error"]["http_status_code"] == 422
    assert error["error"]["message"].startswith("Input validation error: ")
    assert done == "[DONE]"


def test_completions_answer_several_prompts_in_order(chat):
    body = {"model": "tgi", "prompt": ["The sea", "The whale"], "max_tokens": 4, "temperature": 0}
    answer = chat.post("/v1/completions", body).json
    assert answer["object"] == "text_completion"
    expected = [
        chat.post("/generate", {"inputs": prompt, "parameters": {"max_new_tokens": 4}}).json["generated_text"]
        for prompt in body["prompt"]
    ]
    assert [choice["text"] for choice in answer["choices"]] == expected
    assert [choice["index"] for choice in answer["choices"]] == [0, 1]
    assert {choice["finish_reason"] for choice in answer["choices"]} == {"length"}
    assert answer["usage"]["prompt_tokens"] == 4
    assert answer["usage"]["completion_tokens"] == 8


def test_completions_stream_interleaves_choices_by_index(chat):
    body = {"prompt": ["The sea", "The whale"], "max_tokens": 4, "temperature": 0}
    whole = [choice["text"] for choice in chat.post("/v1/completions", body).json["choices"]]
    options = {"stream": True, "stream_options": {"include_usage": True}}
    *chunks, usage, done = chat.post("/v1/completions", body | options).events
    assert done == "[DONE]"
    assert usage["usage"]["completion_tokens"] == 8
    choices = [chunk["choices"][0] for chunk in chunks]
    for index, text in enumerate(whole):
        mine = [choice for choice in choices if choice["index"] == index]
        assert "".join(choice["text"] for choice in mine) == text
        assert [choice["finish_reason"] for choice in mine] == [None, None, None, "length"]


def test_streamed_completions_keep_tgis_word_for_the_end_token(chat):
    body = {"prompt": "Thank you, and God bless you.", "temperature": 0}
    *_, last, _ = chat.post("/v1/completions", body | {"stream": True}).events
    assert last["choices"] == [{"index": 0, "text": "", "logprobs": None, "finish_reason": "eos_token"}]
    assert chat.post("/v1/completions", body).json["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("change", "problem", "kind"),
    [
        ({"prompt": None}, "`prompt` must be a string or a list of strings", "validation"),
        ({"prompt": list("abcde")}, "exceeds the maximum allowed batch size of 4", "batch size exceeded"),
        ({"suffix": "x"}, "does not support `suffix`", "validation"),
        ({"echo": True, "best_of": 3}, "does not support `echo`, `best_of`", "validation"),
    ],
)
def test_bad_completion_request_is_refused(chat, change, problem, kind):
    answer = chat.post("/v1/completions", {"prompt": "x", "max_tokens": 1} | change)
    assert answer.status == 422
    assert problem in answer.json["error"]
    assert answer.json["error_type"] == kind


def test_one_bad_prompt_of_a_streamed_completion_does_not_stop_the_others(chat):
    answer = chat.post("/v1/completions", {"prompt": ["", "The sea"], "max_tokens": 2, "stream": True})
    errors = [event for event in answer.events if "error" in event]
    assert len(errors) == 1
    assert errors[0]["error"]["message"] == "Input validation error: `inputs` cannot be empty"
    assert len(answer.events) == 1 + 2 + 1


def test_chat_requests_are_counted_twice_as_in_tgi(chat):
    before = chat.metric("tgi_request_count")
    chat.post("/v1/chat/completions", QUESTION | {"max_tokens": 1})
    chat.post("/generate", {"inputs": "x", "parameters": {"max_new_tokens": 1}})
    assert chat.metric("tgi_request_count") - before == 2 + 1
