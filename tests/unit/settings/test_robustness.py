"""Whatever a stack file holds, loading gives settings or a list of errors, and the schema accepts what loads."""

import copy
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from infra.settings import SettingsError, load

pytestmark = pytest.mark.thorough

REPOSITORY = Path(__file__).resolve().parents[3]
CIPHER = {"secure": "v1:MTIzNDU2Nzg5MDEy:YWJjZGVmZ2hpamtsbW5vcA=="}
SCHEMA = Draft7Validator(json.loads((REPOSITORY / "stacks" / "schema.json").read_text(encoding="utf-8")))
SAMPLES = [
    yaml.safe_load((REPOSITORY / "stacks" / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8"))
    for stack in ("local", "dev", "staging", "prod")
]
SAMPLES[0]["config"]["berth:gateway"]["tenants"] = {"acme": {"key": CIPHER, "requests_per_minute": 600}}
SAMPLES[3]["config"]["berth:models"]["chat"]["canary"] = {
    "source": "hf://meta-llama/Llama-3.1-8B-Instruct@" + "0" * 40,
    "weight": 5,
}

WORDS = st.sampled_from(
    ["local", "tgi", "auto", "none", "chat", "embed", "1s", "80ms", "4GiB", "l4", "a.b", "", "store://x", "21000-21999"]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 10**6)
    | st.floats()
    | WORDS
    | st.text(max_size=5)
    | st.builds(lambda: dict(CIPHER)),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(WORDS | st.text(max_size=5), below, max_size=3),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in below for place in places(item, (*path, key)))]


@st.composite
def changed(draw: st.DrawFn) -> Any:
    """One of the stack files of the tree with up to three places replaced, removed or added."""
    file = {"": copy.deepcopy(draw(st.sampled_from(SAMPLES)))}
    for _ in range(draw(st.integers(1, 3))):
        *parents, last = draw(st.sampled_from([place for place in places(file) if place]))
        holder: Any = file
        for part in parents:
            holder = holder[part]
        match draw(st.sampled_from(["replace", "remove", "add"])):
            case "replace":
                holder[last] = draw(VALUES)
            case "remove" if parents:
                del holder[last]
            case _ if isinstance(holder[last], dict):
                holder[last][draw(WORDS | st.text(max_size=5))] = draw(VALUES)
    return file[""]


def errors_of(text: str) -> list[str]:
    """What is wrong with a stack file that lies over the defaults of the tree; nothing if it loads."""
    with tempfile.TemporaryDirectory() as folder:
        stacks = Path(folder) / "stacks"
        stacks.mkdir()
        (stacks / "defaults.yaml").write_bytes((REPOSITORY / "stacks" / "defaults.yaml").read_bytes())
        (stacks / "Pulumi.x.yaml").write_text(text, encoding="utf-8")
        try:
            load("x", Path(folder))
        except SettingsError as error:
            return error.errors or ["an error without a text"]
    return []


@settings(max_examples=150)
@given(changed())
def test_changed_stack_files_load_or_list_their_errors(file: Any) -> None:
    errors = errors_of(yaml.safe_dump(file, allow_unicode=True))
    assert all(error.startswith("stacks/Pulumi.x.yaml:") for error in errors)
    assert CIPHER["secure"] not in "".join(errors)
    assert errors or SCHEMA.is_valid(file), next(SCHEMA.iter_errors(file)).message


@settings(max_examples=150)
@given(st.text(alphabet=" \n\t:-[]{}&*!|>'\"%@`#,?abc0.", max_size=40))
def test_any_text_lists_its_errors(text: str) -> None:
    assert all(error.startswith("stacks/Pulumi.x.yaml") for error in errors_of(text))
    assert errors_of(f"config:\n  berth:platform: {text}")
