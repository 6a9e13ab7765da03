"""The cluster a stack is deployed to."""

from typing import Annotated

from pydantic import AfterValidator, Field

from infra.settings.aws import InstanceType
from infra.settings.frozen import FrozenDict
from infra.settings.gpus import GPU_TYPES
from infra.settings.kinds import SUBDOMAIN, Flag, Name, Seconds, SecretName, choice, real, text, whole
from infra.settings.secret import Secret
from infra.settings.section import ByName, Section

LabelKey = Annotated[
    str, text(rf"({SUBDOMAIN}/)?[A-Za-z0-9]([A-Za-z0-9._-]{{0,61}}[A-Za-z0-9])?", "is not the name of a label")
]
LabelValue = Annotated[str, text(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?", "is not the value of a label")]


class Karpenter(Section):
    """How Karpenter buys the nodes of a pool; the kit then makes its NodePool."""

    instances: tuple[InstanceType, ...] = Field(examples=["[g6.xlarge, g6.2xlarge]"])
    """Instance types that may be bought, all with the pool's GPU."""
    spot: Flag = False
    """Whether spot capacity is tried first. Default: false."""
    empty: Seconds = 600.0
    """How long a node may be empty before it is given back. Default: 10m."""
    node_class: Name = "default"
    """Name of the node class, which holds image, network and disks. Default: default."""
    kind: Annotated[str, text(r"[A-Z][A-Za-z0-9]{0,62}", "is not the kind of a node class")] = "EC2NodeClass"
    """Its kind. Default: EC2NodeClass."""
    group: Annotated[str, text(SUBDOMAIN, "is not an API group")] = "karpenter.k8s.aws"
    """Its API group. Default: karpenter.k8s.aws."""


class NodePool(Section):
    """GPU nodes of one kind that the cluster has, or buys."""

    gpu: Annotated[str, choice(GPU_TYPES, "a GPU type")] = Field(examples=["l4"])
    """GPU type of each node."""
    gpus: Annotated[int, whole(1, 16, 4)] = 1
    """GPUs of each node. Default: 1."""
    nodes: Annotated[int, whole(1, 10_000, 4)] = Field(examples=[4])
    """How many such nodes there are, or may be."""
    price: Annotated[float, real(0, 1000, 1.2)] = 0.0
    """US dollars an hour of one node, for the plan's costs. Default: 0, owned."""
    labels: Annotated[dict[LabelKey, LabelValue], AfterValidator(FrozenDict)] = Field(
        default=FrozenDict(), examples=["{nvidia.com/gpu.product: NVIDIA-L4}"]
    )
    """Labels of its nodes, by which servers select them; the same in all pools of a GPU type.
    Default: nvidia.com/gpu.product with the type's name, as GPU feature discovery writes it."""
    karpenter: Karpenter | None = None
    """Makes the pool one whose nodes Karpenter buys when pods wait for them. Default: the nodes are there."""


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
    storage_class: Annotated[str, text(SUBDOMAIN, "is not a storage class's name")] | None = None
    """Class of the volume that holds the weights. Default: the cluster's own."""
    image_pull_secret: SecretName | None = Field(default=None, examples=["registry"])
    """Name of a Secret of type kubernetes.io/dockerconfigjson in the stack's namespace, for images of a registry that
    asks who pulls. Default: none, the nodes may pull."""
    hub_token: Secret | None = None
    """Token for models behind a licence on the Hugging Face hub, encrypted:
    pulumi config set --secret --path berth:kubernetes.hub_token. Default: none."""
