"""What a model store on Kubernetes is asked for."""

from typing import NotRequired, TypedDict

import pulumi


class StagedSource(TypedDict):
    """Weights to be put on the volume."""

    source: str
    """hf://organisation/name@commit, s3://bucket/prefix, file:///folder of the image, or store://name@version of a kit
    model that the image carries. Plain: its folder on the volume is derived from it."""
    bytes: int
    """Size of the weights by the plan. A source that turns out more than a quarter larger is refused."""
    image: NotRequired[str]
    """Image that stages it. Default: the store's."""


class ModelStoreArgs(TypedDict):
    """Weights on one volume, put there once and shared by all servers."""

    namespace: str
    """Namespace of all its objects."""
    stack: str
    """Name of the stack, for labels."""
    image: str
    """Image with `python -m serving.store`, by digest. Another image stages nothing again."""
    sources: list[StagedSource]
    """What is staged. One that is left out later stays on the volume, until another one finds no room."""
    served: NotRequired[list[str]]
    """Further sources whose weights servers may still read, such as those of the deployment before: weights of no other
    source are needed, so they make room for one that does not fit. Default: nothing is ever removed."""
    size_bytes: NotRequired[int]
    """Size of the volume. Default: the sources and room for another version of the largest, in powers of two."""
    existing_bytes: NotRequired[int]
    """Size of the volume that is there: a claim may grow, and must not shrink. Default: 0."""
    storage_class: NotRequired[str]
    """Class of the volume, which must offer ReadWriteMany. Another class is another volume, staged anew before the
    servers move to it. Default: the cluster's own."""
    image_pull_secret: NotRequired[str]
    """Name of a Secret of type kubernetes.io/dockerconfigjson in the namespace, by which images are pulled. Default:
    the nodes' own credentials."""
    hub_token: NotRequired[pulumi.Input[str]]
    """Token for the Hugging Face hub; kept in a Secret that only Jobs for hf:// mount. Default: none."""
