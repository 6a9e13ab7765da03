"""Definitions of custom resources: read from the files of a project, installed, waited for."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from infra import toolchain
from tests.support.kubernetes_api import Client, Object

PARTS = (
    "keda-crds",
    "karpenter-crds",
    "gateway-api-crds",
    "prometheus-operator-crds",
    "eck-crds",
    "lws-crds",
)
"""What a stack of the kit may need."""
KARPENTER_PARTS = ("karpenter-crds", "karpenter-kwok-crds")
"""What a running Karpenter needs."""
API_VERSION = "apiextensions.k8s.io/v1"
KIND = "CustomResourceDefinition"


def load(parts: Iterable[str]) -> list[Object]:
    """The definitions of some parts of the toolchain, which are fetched when missing."""
    files = [file for part in parts for file in sorted(toolchain.ensure(part).rglob("*.yaml"))]
    return [item for file in files for item in _read(file) if item["kind"] == KIND]


def install(api: Client, definitions: Iterable[Object]) -> list[str]:
    """Creates them, several at a time; their names. They are served a moment later: see `established`."""
    with ThreadPoolExecutor(4) as pool:
        # Their size forbids kubectl's client-side apply; a plain creation has no such limit.
        return [item["metadata"]["name"] for item in pool.map(api.create, definitions)]


def established(api: Client, names: Iterable[str]) -> bool:
    """Whether the API server serves all of these kinds."""
    ready = {
        item["metadata"]["name"]
        for item in api.items(API_VERSION, KIND)
        for condition in item.get("status", {}).get("conditions") or ()
        if condition["type"] == "Established" and condition["status"] == "True"
    }
    return set(names) <= ready


def _read(file: Path) -> list[Object]:
    return [item for item in yaml.load_all(file.read_text(), _Loader) if item]


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The C loader is ten times as fast; a plain `=`, which stands in some of these files, is refused by both."""


def _text(_loader: Any, node: Any) -> str:
    return str(node.value)


_Loader.add_constructor("tag:yaml.org,2002:value", _text)
