import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from infra.settings.__main__ import main
from infra.settings.schema import SCHEMA, schema, schema_text

REPOSITORY = Path(__file__).resolve().parents[3]
FILES = sorted((REPOSITORY / "stacks").glob("*.yaml"))
BROKEN = Path(__file__).parent / "broken"
CIPHER = "v1:MTIzNDU2Nzg5MDEy:YWJjZGVmZ2hpamtsbW5vcA=="


@pytest.fixture(scope="module")
def validator() -> Draft7Validator:
    Draft7Validator.check_schema(schema())
    return Draft7Validator(schema())


def test_schema_in_the_tree_is_current() -> None:
    assert (REPOSITORY / SCHEMA).read_text(encoding="utf-8") == schema_text(), (
        "run: python -m infra.settings schema --write"
    )


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_schema_accepts_the_stack_files_of_the_tree(file: Path, validator: Draft7Validator) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=schema.json\n")
    assert [error.message for error in validator.iter_errors(yaml.safe_load(text))] == []


def test_schema_accepts_what_pulumi_writes(validator: Draft7Validator) -> None:
    file = {
        "secretsprovider": "awskms://alias/berth?region=us-east-1",
        "encryptedkey": "AQICAHh",
        "encryptionsalt": "v1:abc=:v1:def:ghi==",
        "environment": ["aws-login"],
        "config": {
            "aws:region": "us-east-1",
            "pulumi:disable-default-providers": ["*"],
            "berth:gateway": {"tenants": {"acme": {"key": {"secure": CIPHER}, "next_key": {"secure": CIPHER}}}},
            "berth:monitoring": {"alerts": {"webhook": {"secure": CIPHER}}},
        },
    }
    assert [error.message for error in validator.iter_errors(file)] == []


@pytest.mark.parametrize(
    "config",
    [
        {"berth:platform": "laptop"},
        {"berth:modles": {}},
        {"kubernetes:context": "dev"},
        {"berth:models": {"chat": {"engine": "tgy"}}},
        {"berth:models": {"chat": {"gpu": "l44"}}},
        {"berth:models": {"chat": {"context": "8192"}}},
        {"berth:models": {"chat": {"replica": 2}}},
        {"berth:models": {"chat": {"replicas": 0}}},
        {"berth:models": {"chat": {"source": "hf://meta-llama/Llama-3.1-8B-Instruct"}}},
        {"berth:models": {"Chat": {"engine": "tgi"}}},
        {"berth:models": {"chat": {"objectives": {"ttft_p95": 1}}}},
        {"berth:models": {"chat": {"objectives": {"availability": 0.995}}}},
        {"berth:models": {"chat": {"traffic": {"requests_per_second": 0}}}},
        {"berth:models": {"chat": {"routing": "random"}}},
        {"berth:gateway": {"max_body": 10}},
        {"berth:gateway": {"host": "https://api.example.com"}},
        {"berth:gateway": {"tenants": {"acme": {"key": "plain"}}}},
        {"berth:gateway": {"port": {"secure": CIPHER}}},
        {"berth:gateway": {"fallback": {"chat": "small"}}},
        {"berth:local": {"ports": 21000}},
        {"berth:aws": {"quotas": {"l44": 8}}},
    ],
    ids=str,
)
def test_schema_refuses(config: dict[str, Any], validator: Draft7Validator) -> None:
    assert not validator.is_valid({"config": config})


def test_schema_refuses_every_broken_file_whose_mistakes_stand_in_one_place(validator: Draft7Validator) -> None:
    seen = set()
    for file in BROKEN.glob("*.yaml"):
        try:
            value = yaml.safe_load(file.read_bytes())
        except (yaml.YAMLError, ValueError):
            continue
        if not validator.is_valid(value):
            seen.add(file.stem)
    assert seen >= {
        "booleans_yaml_reads_otherwise",
        "durations_without_units",
        "keys_in_the_wrong_place",
        "misspelled_words",
        "names",
        "plaintext_secrets",
        "port_ranges",
        "secrets_where_plain_is_due",
        "set_without_path",
        "six_mistakes",
        "sizes_without_units",
        "sources",
        "unknown_words",
        "wrong_shapes",
    }


def descriptions(node: Any, path: str = "") -> list[str]:
    """Properties without a description."""
    if isinstance(node, list):
        return [bad for item in node for bad in descriptions(item, path)]
    if not isinstance(node, dict):
        return []
    bare = [f"{path}.{name}" for name, below in node.get("properties", {}).items() if not below.get("description")]
    return bare + [bad for key, below in node.items() for bad in descriptions(below, f"{path}.{key}")]


def test_every_key_is_explained() -> None:
    assert descriptions(schema()) == []


def test_defaults_are_written_as_in_a_stack_file() -> None:
    definitions = schema()["definitions"]
    assert definitions["Timeouts"]["properties"]["connect"]["default"] == "2s"
    assert definitions["Gateway"]["properties"]["max_body"]["default"] == "10MB"
    assert definitions["Gateway"]["properties"]["port"]["default"] == 8080
    assert definitions["Local"]["properties"]["ports"]["default"] == "21000-21199"


def test_check_fails_on_a_stale_schema_and_write_mends_it(
    root: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = root()
    assert main(["--root", str(folder), "schema", "--check"]) == 1
    assert "python -m infra.settings schema --write" in capsys.readouterr().err
    assert main(["--root", str(folder), "schema", "--write"]) == 0
    assert main(["--root", str(folder), "schema", "--check"]) == 0
    assert json.loads((folder / SCHEMA).read_text(encoding="utf-8"))["title"] == "berth stack file"
