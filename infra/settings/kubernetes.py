"""The cluster a stack is deployed to."""

from typing import Annotated

from pydantic import Field

from infra.settings.frozen import FrozenDict
from infra.settings.gpus import GPU_TYPES
from infra.settings.kinds import Name, choice, real, text, whole
from infra.settings.secret import Secret
from infra.settings.section import ByName, Section


class NodePool(Section):
    """GPU nodes of one kind that the cluster has."""

    gpu: Annotated[str, choice(GPU_TYPES, "a GPU type")] = Field(examples=["l4"])
    """GPU type of each node."""
    gpus: Annotated[int, whole(1, 16, 4)] = 1
    """GPUs of each node. Default: 1."""
    nodes: Annotated[int, whole(1, 10_000, 4)] = Field(examples=[4])
    """How many such nodes there are, or may be."""
    price: Annotated[float, real(0, 1000, 1.2)] = 0.0
    """US dollars an hour of one node, for the plan's costs. Default: 0, owned."""


class Kubernetes(Section):
    """The cluster a stack is deployed to."""

    context: Annotated[str, text(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,252}", "is not a context of a kubeconfig")] | None = (
        None
    )
    """Context of the kubeconfig, required on kubernetes: the current context could be another cluster."""
    namespace: Name = "berth"
    """Namespace of everything the stack makes. Default: berth."""
    nodes: ByName[NodePool] = Field(default=FrozenDict(), examples=["{small: {gpu: l4, nodes: 2}}"])
    """GPU nodes of the cluster, by pool; on kubernetes only. Default: read from the nodes' labels."""
    storage_class: (
        Annotated[str, text(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", "is not a storage class's name")] | None
    ) = None
    """Class of the volume that holds the weights. Default: the cluster's own."""
    hub_token: Secret | None = None
    """Token for models behind a licence on the Hugging Face hub, encrypted:
    pulumi config set --secret --path berth:kubernetes.hub_token. Default: none."""
