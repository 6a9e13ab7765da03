"""The plugin for other languages, as Pulumi starts it: its schema, and how it refuses what is wrong.

`UPDATE_GOLDEN=1 pytest tests/program/kubernetes/test_component_host.py`, then read the difference: a property that is
renamed, removed or newly required breaks programs of users.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from infra.components import host
from infra.components.kubernetes.gpu_pool import node_pool

ROOT = Path(__file__).parents[3]
GOLDEN = Path(__file__).parent / "schema.json"


@pytest.fixture(scope="module")
def plugin() -> Iterator[Any]:
    """A client of the plugin. The address is that of an engine; nobody is there."""
    with subprocess.Popen(
        [sys.executable, ROOT / "infra", "127.0.0.1:9"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        assert port.isdigit(), process.communicate(timeout=30)[1]
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield provider_pb2_grpc.ResourceProviderStub(channel)
        process.terminate()


@pytest.fixture(scope="module")
def schema(plugin: Any) -> Any:
    return json.loads(plugin.GetSchema(provider_pb2.GetSchemaRequest()).schema)


def test_the_schema_is_as_reviewed(schema: Any) -> None:
    text = json.dumps(schema, indent=1, sort_keys=True) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(text)
    assert GOLDEN.read_text() == text, "schema.json differs; UPDATE_GOLDEN=1 writes it anew"


def test_every_component_is_there_under_its_token(schema: Any) -> None:
    assert set(schema["resources"]) == {f"berth:index:{component.__name__}" for component in host.COMPONENTS}
    assert all(resource["isComponent"] for resource in schema["resources"].values())


def test_every_property_is_documented(schema: Any) -> None:
    """What stands in the editor of whoever writes a program in another language."""
    named = {**schema["resources"], **schema.get("types", {})}
    bare = [
        f"{name}.{field}"
        for name, found in named.items()
        for kind in ("inputProperties", "properties")
        for field, value in found.get(kind, {}).items()
        if not value.get("description")
    ]
    assert bare == []


def test_no_property_lost_its_type(schema: Any) -> None:
    """The host takes a type that it does not understand for an empty object."""
    empty = [name for name, found in schema.get("types", {}).items() if not found.get("properties")]
    assert empty == []


def test_whole_numbers_are_whole_in_python() -> None:
    provider = host._Provider(list(host.COMPONENTS), host.PACKAGE)
    pool = {"name": "small", "labels": {}, "nodeLabels": {}, "instances": ["g6.xlarge"], "resource": "nvidia.com/gpu"}
    sent = {**pool, "limit": 4.0, "emptySeconds": 300.0, "nodeClass": {"group": "g", "kind": "K", "name": "n"}}
    made = node_pool(provider.map_inputs(sent, provider._component_defs["GpuPool"]))
    assert made["spec"]["limits"] == {"nvidia.com/gpu": "4"}
    assert made["spec"]["disruption"]["consolidateAfter"] == "300s"


def test_it_tells_its_version(schema: Any) -> None:
    assert (schema["name"], schema["version"]) == ("berth", "0.1.0")
