"""Three models on a cluster of the tests: on one GPU, over four, an encoder; and what the cluster shows of them."""

from collections.abc import Iterable, Mapping
from typing import Any

from tests.support.kubernetes_api import Client, Object

SPACE = "berth"
"""Its namespace."""
LLAMA_8B = "hf://meta-llama/Llama-3.1-8B-Instruct@0e9e39f249a16976918f6564b8830bc894c89659"
LLAMA_70B = "hf://meta-llama/Llama-3.1-70B-Instruct@1605565b47bb9346c5515c34102e054115b4f98b"
BGE = "hf://BAAI/bge-small-en-v1.5@5c38ec7c405ec4b44b94cc5a9bb96e735b38267a"
CHAT = {"engine": "tgi", "source": LLAMA_8B, "context": 4096, "concurrency": 4, "gpu": "l4", "replicas": 2}
LARGE = {
    "engine": "tgi",
    "source": LLAMA_70B,
    "context": 8192,
    "concurrency": 8,
    "gpu": "l40s",
    "shards": 4,
    "rollout": "in_place",
}
EMBED = {"engine": "tei", "source": BGE, "context": 512, "gpu": "none"}
MODELS: Mapping[str, Mapping[str, Any]] = {"chat": CHAT, "large": LARGE, "embed": EMBED}
NODES = {"small": {"gpu": "l4", "nodes": 2}, "large": {"gpu": "l40s", "gpus": 4, "nodes": 1}}
"""What tests.support.cluster.MIXED has of these types."""


def pods(api: Client, model: str) -> list[Object]:
    """Of all revisions of a model."""
    return api.items("v1", "Pod", SPACE, labels=f"berth.dev/model={model}")


def instances(api: Client, found: Iterable[Object]) -> list[str]:
    """Types of the nodes that pods run on."""
    nodes = [api.get("v1", "Node", item["spec"]["nodeName"]) for item in found]
    return sorted(node["metadata"]["labels"]["node.kubernetes.io/instance-type"] for node in nodes)


def addresses(api: Client, service: str) -> list[str]:
    """That a Service gives out."""
    found = api.items("discovery.k8s.io/v1", "EndpointSlice", SPACE, labels=f"kubernetes.io/service-name={service}")
    return [
        address
        for item in found
        for endpoint in item.get("endpoints") or []
        if endpoint["conditions"].get("ready")
        for address in endpoint["addresses"]
    ]
