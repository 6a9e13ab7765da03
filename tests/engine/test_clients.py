"""The clients that people have, against the URLs that `up` prints."""

import json
import time
import urllib.error
import urllib.request

import openai
import pytest
from huggingface_hub import InferenceClient
from openai.types.chat import ChatCompletionMessageParam

from tests.support.project import Project

PROMPT = "Call me Ishmael."


@pytest.fixture(scope="module")
def client(stack: Project) -> openai.OpenAI:
    outputs = stack.outputs()
    return openai.OpenAI(base_url=outputs["endpoints"]["chat"]["openai"], api_key=outputs["api_key"], max_retries=0)


def native(stack: Project, model: str, path: str = "") -> InferenceClient:
    outputs = stack.outputs()
    return InferenceClient(outputs["endpoints"][model]["native"] + path, token=outputs["api_key"])


def test_openai_lists_the_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["chat", "embed", "ngram", "repair"]


@pytest.mark.parametrize("model", ["chat", "repair", "ngram"])
def test_openai_chat(client: openai.OpenAI, model: str) -> None:
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": PROMPT}]
    answer = client.chat.completions.create(model=model, messages=messages, max_tokens=12, temperature=0)
    assert answer.model == model
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert 0 < answer.usage.completion_tokens <= 12


@pytest.mark.parametrize("model", ["chat", "repair", "ngram"])
def test_openai_chat_that_samples(client: openai.OpenAI, model: str) -> None:
    """Sampling is what a chat without a temperature gets. It may draw the end at once: an answer may be empty."""
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": PROMPT}]
    answers = [client.chat.completions.create(model=model, messages=messages, max_tokens=12) for _ in range(8)]
    assert all(answer.usage is not None and 0 < answer.usage.completion_tokens <= 12 for answer in answers)
    assert all(answer.choices[0].finish_reason in ("length", "stop") for answer in answers)
    assert any(answer.choices[0].message.content for answer in answers)


def test_openai_streamed_chat_with_usage(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="chat",
            messages=[{"role": "user", "content": PROMPT}],
            max_tokens=12,
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 0
    assert chunks[-2].choices[0].finish_reason in ("length", "stop")


def test_openai_completions(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="ngram", prompt=PROMPT, max_tokens=8, temperature=0)
    assert answer.choices[0].text
    pieces = client.completions.create(model="chat", prompt=PROMPT, max_tokens=8, temperature=0, stream=True)
    assert "".join(piece.choices[0].text for piece in pieces if piece.choices)


def test_openai_embeddings(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model="embed", input=["a white whale", "a great fish", "the state of the union"])
    near, far = (
        sum(a * b for a, b in zip(answer.data[0].embedding, answer.data[i].embedding, strict=True)) for i in (1, 2)
    )
    assert len(answer.data[0].embedding) == 384
    assert near > far


def test_openai_errors_name_what_is_wrong(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="chats"):
        client.chat.completions.create(model="chats", messages=[{"role": "user", "content": "x"}])
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="wrong").models.list()


@pytest.mark.parametrize("model", ["chat", "repair", "ngram"])
def test_hub_client_text_generation(stack: Project, model: str) -> None:
    client = native(stack, model)
    whole = client.text_generation(PROMPT, max_new_tokens=10, details=True)
    assert whole.generated_text
    assert whole.details is not None
    assert whole.details.generated_tokens <= 10
    events = list(client.text_generation(PROMPT, max_new_tokens=10, stream=True, details=True))
    assert events[-1].generated_text == whole.generated_text


def test_hub_client_chat(stack: Project) -> None:
    client = native(stack, "chat")
    messages = [{"role": "user", "content": PROMPT}]
    whole = client.chat_completion(messages, max_tokens=8, temperature=0).choices[0].message.content
    streamed = client.chat_completion(messages, max_tokens=8, temperature=0, stream=True)
    assert whole
    assert "".join(chunk.choices[0].delta.content or "" for chunk in streamed) == whole


def test_hub_client_embeddings(stack: Project) -> None:
    vectors = native(stack, "embed", "/embed").feature_extraction("a white whale")
    assert vectors.shape == (1, 384)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/models/chat/metrics", 404),
        ("/models/chat/docs", 404),
        ("/metrics", 404),
        ("/", 404),
        ("/models/none/info", 404),
    ],
)
def test_what_is_not_on_the_list_is_not_there(stack: Project, path: str, status: int) -> None:
    outputs = stack.outputs()
    request = urllib.request.Request(
        f"http://127.0.0.1:{stack.gateway_port}{path}", headers={"authorization": f"Bearer {outputs['api_key']}"}
    )
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request, timeout=10)
    assert error.value.code == status
    error.value.close()


def test_prometheus_scrapes_servers_gateway_and_itself(stack: Project) -> None:
    url = stack.outputs()["dashboards"]["prometheus"]
    wanted = {"chat-1", "chat-2", "repair-1", "embed-1", "ngram-1", "gateway", "prometheus"}
    seen: set[str] = set()
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with urllib.request.urlopen(f"{url}/api/v1/query?query=up==1", timeout=10) as answer:
            rows = json.load(answer)["data"]["result"]
        seen = {row["metric"].get("replica") or row["metric"]["job"] for row in rows}
        if seen >= wanted:
            return
        time.sleep(0.5)
    assert seen >= wanted
