"""What a stack file says of the gateway, seen by clients of a local stack."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from infra.providers.local.daemon import Daemon
from tests.engine.conftest import CHAT, MODELS
from tests.support.portblock import lease
from tests.support.project import STACK, Project

KEY = "sk-acme-0123456789abcdefghijklmnop"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    project = Project.make(tmp_path_factory.mktemp("settings"), lease())
    canary = {"source": "store://ngram", "weight": 50}
    chat = {**CHAT, "replicas": 1, "max_output_tokens": 6, "default_output_tokens": 4, "canary": canary}
    project.write(
        {"chat": chat, "ngram": MODELS["ngram"]},
        gateway={"fallback": {"chat": ["ngram"]}, "hold": {"ttl": "1s", "requests": 0}, "caps": {"choices": 2}},
    )
    done = project.pulumi("config", "set", "--secret", "--path", "berth:gateway.tenants.acme.key", KEY)
    assert done.returncode == 0, done.stderr
    done = project.pulumi("config", "set", "--path", "berth:gateway.tenants.acme.requests_per_minute", "30")
    assert done.returncode == 0, done.stderr
    assert KEY not in project.session.stack_file(STACK).read_text()
    project.up()
    yield project
    project.down()


def ask(stack: Project, key: str, model: str = "chat", **fields: Any) -> dict[str, Any]:
    body = {"model": model, "messages": [{"role": "user", "content": "Call me Ishmael."}], "temperature": 0, **fields}
    request = urllib.request.Request(
        f"http://127.0.0.1:{stack.gateway_port}/v1/chat/completions",
        json.dumps(body).encode(),
        {"authorization": f"Bearer {key}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        values: dict[str, Any] = json.load(answer)
        return values


def test_output_tokens_have_a_default_and_a_most(stack: Project) -> None:
    key = stack.outputs()["api_key"]
    assert ask(stack, key)["usage"]["completion_tokens"] <= 4
    assert ask(stack, key, max_tokens=200)["usage"]["completion_tokens"] <= 6


def test_one_request_may_not_ask_for_more_than_the_caps(stack: Project) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(stack, stack.outputs()["api_key"], n=3)
    with refused.value as answer:
        assert (answer.code, json.load(answer)["error"]["code"]) == (400, "too_many_choices")


def test_canary_answers_its_share(stack: Project) -> None:
    key = stack.outputs()["api_key"]
    answers = {ask(stack, key, max_tokens=6)["choices"][0]["message"]["content"] for _ in range(24)}
    assert len(answers) == 2  # greedy, so one text a revision


def first_refusal(stack: Project, most: int) -> tuple[int, urllib.error.HTTPError]:
    """How many calls in a row were answered before one was refused, and the refusal."""
    for answered in range(most):
        try:
            ask(stack, KEY, model="ngram", max_tokens=1)
        except urllib.error.HTTPError as refusal:
            return answered, refusal
    pytest.fail(f"{most} calls in a row were answered")


def test_a_tenant_of_the_stack_file_has_its_limit(stack: Project) -> None:
    start = time.monotonic()
    answered, refusal = first_refusal(stack, most=60)
    earned_meanwhile = (time.monotonic() - start) * 30 / 60
    with refusal:
        assert refusal.code == 429
        assert int(refusal.headers["retry-after"]) > 0
    assert 30 <= answered <= 30 + earned_meanwhile


def test_keys_are_nowhere_in_plain(stack: Project) -> None:
    own = stack.outputs()["api_key"]
    root = stack.session.stack_dir(STACK)
    for path in [*root.rglob("*"), *(stack.session.home / "state").rglob("*")]:
        if path.is_file() and path.name != "api_key":
            content = path.read_bytes()
            assert KEY.encode() not in content, path
            assert own.encode() not in content, path


def test_fallback_answers_when_the_model_is_gone(stack: Project) -> None:
    daemon = Daemon(stack.session.stack_dir(STACK))
    for program in daemon.list():
        if program.name.startswith("chat-"):
            daemon.remove(program.name)
    assert ask(stack, stack.outputs()["api_key"], max_tokens=3)["choices"][0]["message"]["content"]
