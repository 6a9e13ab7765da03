"""The client libraries that people use, against running servers."""

import openai
import pytest
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError, OverloadedError, ValidationError

pytestmark = pytest.mark.thorough

MESSAGES = [{"role": "user", "content": "The sea"}]


@pytest.fixture(scope="module")
def hub(chat) -> InferenceClient:
    return InferenceClient(chat.url)


@pytest.fixture(scope="module")
def client(chat):
    with openai.OpenAI(base_url=f"{chat.url}/v1", api_key="none", max_retries=0) as opened:
        yield opened


def test_hub_text_generation(hub):
    assert hub.text_generation("The whale", max_new_tokens=5).startswith("The whale")
    detailed = hub.text_generation("The whale", max_new_tokens=5, details=True, return_full_text=False)
    assert detailed.details.generated_tokens == 5
    assert detailed.details.finish_reason == "length"
    assert "".join(token.text for token in detailed.details.tokens) == detailed.generated_text


def test_hub_streamed_text_generation(hub):
    text = hub.text_generation("The whale", max_new_tokens=5, return_full_text=False)
    assert "".join(hub.text_generation("The whale", max_new_tokens=5, stream=True)) == text
    *_, last = hub.text_generation("The whale", max_new_tokens=5, stream=True, details=True)
    assert last.details.finish_reason == "length"


def test_hub_chat(hub):
    answer = hub.chat_completion(MESSAGES, max_tokens=5, temperature=0)
    chunks = list(hub.chat_completion(MESSAGES, max_tokens=5, temperature=0, stream=True))
    assert "".join(chunk.choices[0].delta.content for chunk in chunks) == answer.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == "length"


def test_hub_health_and_info(chat):
    client = InferenceClient(chat.url, provider="hf-inference")
    assert client.health_check() is True
    assert client.get_endpoint_info()["model_id"] == "test"


def test_hub_tells_errors_apart(hub, serve, stream):
    with pytest.raises(ValidationError, match="must be <= 512"):
        hub.text_generation("w " * 600, max_new_tokens=1)
    with pytest.raises(HfHubHTTPError, match="422"):
        hub.chat_completion(MESSAGES, max_tokens=1000)
    full = serve("tiny-gpt2", "--max-concurrent-requests", "1", "--max-queued-requests", "0", "--token-delay-ms", "100")
    busy = InferenceClient(full.url)
    open_one = stream(full, 60)
    with pytest.raises(OverloadedError, match="Model is overloaded"):
        busy.text_generation("The whale", max_new_tokens=1)
    with pytest.raises(OverloadedError, match="Model is overloaded"):
        list(busy.text_generation("The whale", max_new_tokens=1, stream=True))
    open_one.close()


def test_openai_chat(client):
    answer = client.chat.completions.create(model="test", messages=MESSAGES, max_tokens=5, temperature=0)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.prompt_tokens_details.cached_tokens == 0
    with client.chat.completions.create(
        model="test",
        messages=MESSAGES,
        max_completion_tokens=5,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    ) as stream:
        chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content for chunk in chunks[:-1]) == answer.choices[0].message.content
    assert chunks[-1].usage.completion_tokens == 5


def test_openai_completions_and_models(client):
    answer = client.completions.create(model="test", prompt=["The sea", "The whale"], max_tokens=3, temperature=0)
    assert [choice.index for choice in answer.choices] == [0, 1]
    with client.completions.create(model="test", prompt="The sea", max_tokens=3, temperature=0, stream=True) as stream:
        text = "".join(chunk.choices[0].text for chunk in stream)
    assert text == answer.choices[0].text
    assert [model.id for model in client.models.list()] == ["test"]


def test_openai_errors(client):
    tools = [{"type": "function", "function": {"name": "f"}}]
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        client.chat.completions.create(model="test", messages=MESSAGES, tools=tools)
    assert refused.value.body == "Input validation error: the local engine does not support `tools`"
    with (
        pytest.raises(openai.APIError, match="Input validation error"),
        client.chat.completions.create(model="test", messages=MESSAGES, max_tokens=999, stream=True) as stream,
    ):
        list(stream)
