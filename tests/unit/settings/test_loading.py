import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from infra.settings import Engine, Platform, Policy, SecretRef, SettingsError, Source, load, stacks

REPOSITORY = Path(__file__).resolve().parents[3]
CIPHER = "v1:MTIzNDU2Nzg5MDEy:YWJjZGVmZ2hpamtsbW5vcA=="
LOCAL = """config:
  berth:platform: local
  berth:models:
    chat: {engine: local, source: store://tiny-gpt2, context: 512}
"""


@pytest.mark.parametrize("stack", stacks(REPOSITORY))
def test_stacks_in_the_tree_are_valid(stack: str) -> None:
    assert load(stack, REPOSITORY).stack == stack


def test_all_platforms_have_a_stack_in_the_tree() -> None:
    assert {load(stack, REPOSITORY).platform for stack in stacks(REPOSITORY)} == set(Platform)


def test_local_stack_serves_the_four_kit_models() -> None:
    settings = load("local", REPOSITORY)
    assert {name: str(model.source) for name, model in settings.models.items()} == {
        "chat": "store://tiny-gpt2",
        "repair": "store://tiny-t5",
        "embed": "store://minilm",
        "ngram": "store://ngram",
    }
    assert (settings.models["chat"].replicas.min, settings.models["chat"].replicas.max) == (2, 2)
    assert {model.engine for model in settings.models.values()} == {Engine.LOCAL}


def test_hub_models_in_the_tree_are_pinned() -> None:
    sources = [model.source for stack in stacks(REPOSITORY) for model in load(stack, REPOSITORY).models.values()]
    assert all(len(source.revision or "") == 40 for source in sources if source.scheme == "hf")


def test_built_in_values(root: Callable[..., Path]) -> None:
    settings = load("x", root(x=LOCAL))
    chat = settings.models["chat"]
    assert (chat.gpu, chat.max_output_tokens, chat.default_output_tokens, chat.routing) == ("none", 256, 256, None)
    assert (chat.replicas.min, chat.replicas.max, chat.concurrency) == (1, 1, 16)
    assert settings.gateway.port == 8080
    assert settings.gateway.routing.policy is Policy.ESTIMATED_TTFT
    assert settings.monitoring.retention == 15 * 86400
    assert settings.gateway.max_body == 10_000_000
    assert (settings.local.ports.first, settings.local.ports.last, settings.local.memory) == (21000, 21199, None)


def test_built_in_values_are_those_of_the_defaults_file() -> None:
    """Deleting a line of defaults.yaml must not change a stack in silence."""
    settings = load("local", REPOSITORY)
    assert settings.gateway.timeouts == type(settings.gateway.timeouts)()
    assert settings.gateway.retries == type(settings.gateway.retries)()
    assert settings.gateway.hold == type(settings.gateway.hold)()
    assert settings.gateway.caps == type(settings.gateway.caps)()
    assert settings.monitoring.retention == type(settings.monitoring)().retention


def test_secrets_are_references_only(root: Callable[..., Path]) -> None:
    text = f"{LOCAL}  berth:gateway:\n    tenants:\n      acme:\n        key:\n          secure: {CIPHER}\n"
    settings = load("x", root(x=text))
    assert settings.gateway.tenants["acme"].key == SecretRef("berth:gateway", "tenants.acme.key")
    assert CIPHER not in repr(settings)


@pytest.mark.parametrize("ciphertext", [CIPHER, "AAABAExamplez0Zk3vWbWcVxX0a1o3m6yG7uKpZr8k5vI9cQ2w=="])
def test_ciphertexts_of_all_secrets_providers_are_known(ciphertext: str, root: Callable[..., Path]) -> None:
    text = f"{LOCAL}  berth:gateway: {{tenants: {{acme: {{key: {{secure: {ciphertext}}}}}}}}}\n"
    assert "acme" in load("x", root(x=text)).gateway.tenants


def test_sources_are_taken_apart(root: Callable[..., Path]) -> None:
    text = LOCAL.replace("store://tiny-gpt2", "store://tiny-gpt2@0123456789ab")
    assert load("x", root(x=text)).models["chat"].source == Source("store", "tiny-gpt2", "0123456789ab")
    text = LOCAL.replace("store://tiny-gpt2", "file:///srv/weights/")
    assert load("x", root(x=text)).models["chat"].source == Source("file", "/srv/weights")


def test_one_number_fixes_replicas_and_one_word_is_a_policy(root: Callable[..., Path]) -> None:
    text = LOCAL.replace("context: 512", "context: 512, replicas: 3, routing: least_request")
    settings = load("x", root(x=text))
    assert settings.models["chat"].replicas.fixed
    assert settings.models["chat"].replicas.max == 3
    assert settings.routing_of("chat").policy is Policy.LEAST_REQUEST


def test_a_model_without_policy_has_the_gateways(root: Callable[..., Path]) -> None:
    settings = load("x", root(x=f"{LOCAL}  berth:gateway: {{routing: round_robin}}\n"))
    assert settings.routing_of("chat").policy is Policy.ROUND_ROBIN


def test_options_become_text(root: Callable[..., Path]) -> None:
    text = LOCAL.replace(
        "context: 512", 'context: 512, options: {token-delay-ms: 0.5, workers: 2, prefix-cache-tokens: "64"}'
    )
    options = load("x", root(x=text)).models["chat"].options
    assert dict(options) == {"token-delay-ms": "0.5", "workers": "2", "prefix-cache-tokens": "64"}


def test_switches_become_text(root: Callable[..., Path]) -> None:
    source = "hf://meta-llama/Llama-3.1-8B-Instruct@0e9e39f249a16976918f6564b8830bc894c89659"
    text = f"""config:
  berth:platform: kubernetes
  berth:kubernetes: {{context: dev}}
  berth:gateway: {{host: llm.example.com}}
  berth:models:
    chat: {{engine: tgi, source: {source}, context: 8192, options: {{disable-grammar-support: true}}}}
"""
    assert load("x", root(x=text)).models["chat"].options == {"disable-grammar-support": "true"}


def test_numbers_as_pulumi_config_set_writes_them(root: Callable[..., Path]) -> None:
    text = LOCAL.replace("context: 512", 'context: 512, objectives: {availability: "99.5"}')
    assert load("x", root(x=text)).models["chat"].objectives.availability == 99.5


def test_settings_cannot_be_changed(root: Callable[..., Path]) -> None:
    settings = load("x", root(x=LOCAL))
    with pytest.raises(ValidationError):
        settings.gateway.port = 1  # type: ignore[misc]
    with pytest.raises(TypeError, match="frozen"):
        settings.models["other"] = settings.models["chat"]
    with pytest.raises(TypeError, match="frozen"):
        settings.models.update({})


def test_settings_survive_pickling(root: Callable[..., Path]) -> None:
    settings = load("x", root(x=LOCAL))
    again = pickle.loads(pickle.dumps(settings))  # noqa: S301
    assert again == settings
    assert again.origins == settings.origins


def test_a_later_step_can_place_its_own_problem(root: Callable[..., Path]) -> None:
    settings = load("x", root(x=LOCAL))
    assert str(settings.problem(("models", "chat", "context"), "is wrong")) == (
        "stacks/Pulumi.x.yaml:4: models.chat.context: is wrong"
    )
    assert str(settings.problem(("local", "ports"), "is wrong")) == "stacks/Pulumi.x.yaml:1: local.ports: is wrong"


def test_unknown_stack_names_the_known_ones(root: Callable[..., Path]) -> None:
    with pytest.raises(SettingsError) as caught:
        load("lcoal", root(local=LOCAL, prod=LOCAL))
    assert caught.value.errors == [
        "stacks/Pulumi.lcoal.yaml: there is no such file; the stacks are local, prod (did you mean 'local'?)"
    ]


def test_unknown_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is this the folder of the repository"):
        load("local", tmp_path)


@pytest.mark.parametrize("stack", ["../local", "org/project/local", "", "a b", ".."])
def test_stack_names_cannot_leave_the_folder(stack: str, root: Callable[..., Path]) -> None:
    with pytest.raises(SettingsError, match="is not a stack's name"):
        load(stack, root(local=LOCAL))


def test_stack_works_without_a_defaults_file(root: Callable[..., Path]) -> None:
    folder = root(x=LOCAL)
    (folder / "stacks" / "defaults.yaml").unlink()
    assert load("x", folder).platform is Platform.LOCAL


def test_byte_order_mark_and_windows_line_ends_are_read(root: Callable[..., Path]) -> None:
    folder = root(x=LOCAL)
    (folder / "stacks" / "Pulumi.x.yaml").write_bytes(b"\xef\xbb\xbf" + LOCAL.replace("\n", "\r\n").encode())
    assert load("x", folder).problem(("models", "chat", "context"), "").line == 4


def test_text_that_is_not_utf8_is_refused_with_its_line(root: Callable[..., Path]) -> None:
    folder = root(x=LOCAL)
    (folder / "stacks" / "Pulumi.x.yaml").write_bytes(LOCAL.encode() + b"# caf\xe9\n")
    with pytest.raises(SettingsError) as caught:
        load("x", folder)
    assert caught.value.errors == ["stacks/Pulumi.x.yaml:5: is not UTF-8 text; save the file as UTF-8"]


def test_mistakes_in_both_files_come_together(root: Callable[..., Path]) -> None:
    folder = root(defaults="config:\n  berth:monitoring: {retention: 15}\n", x=LOCAL + "  berth:gateway: {prot: 1}\n")
    with pytest.raises(SettingsError) as caught:
        load("x", folder)
    assert caught.value.errors == [
        "stacks/Pulumi.x.yaml:5: gateway.prot: is not a known key; did you mean 'port'?",
        "stacks/defaults.yaml:2: monitoring.retention: 15 has no unit; write 15ms, 15s, 15m, 15h or 15d",
    ]


def test_loading_needs_neither_pulumi_nor_the_network() -> None:
    """Editors, planning and tests load settings; a slow package among the imports would be felt each time."""
    code = "import sys, infra.settings; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"pulumi", "boto3", "grpc", "scipy", "jsonschema", "huggingface_hub", "aiohttp"} & set(loaded)
