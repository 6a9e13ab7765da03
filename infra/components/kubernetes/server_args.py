"""What a model server on Kubernetes is asked for."""

from typing import NotRequired, TypedDict

from infra.components.kubernetes.scaling_args import ServerScaling


class ServerGpu(TypedDict):
    """Accelerators of one replica."""

    type: str
    """Name in the catalogue, such as `l4`."""
    resource: str
    """Device resource, such as nvidia.com/gpu."""
    count: int
    """Devices of each pod."""
    node_labels: dict[str, str]
    """Labels of the nodes that have them."""
    capability: NotRequired[float]
    """CUDA compute capability. Only said here for the record; the image was chosen by it."""


class ServerWeights(TypedDict):
    """Where the weights are."""

    claim: str
    """Name of the PersistentVolumeClaim of the model store, mounted read-only at /models: `models`, or
    `models-<storage class>` where the store names one."""
    location: str
    """Folder of the version below /models. For hf://organisation/name@commit it is hf/organisation--name/ and the first
    12 digits of the commit; the store's output `staged` tells it for every source."""
    verify_image: str
    """Image, by digest, in which `python -m serving.store verify <folder>` checks the weights before they load."""


class ServerLimits(TypedDict):
    """How much one replica takes on. Requests beyond running and queued are refused with 429."""

    max_input_tokens: int
    """Prompt tokens."""
    max_total_tokens: int
    """Prompt and generated tokens of one request."""
    max_concurrent_requests: int
    """Requests that run at once."""
    max_queued_requests: NotRequired[int]
    """Requests that wait for a running one to end. Default: 64."""
    max_batch_prefill_tokens: NotRequired[int]
    """Prompt tokens of one pass (with TEI, of one batch). Default: the engine's own."""


class ServerReplicas(TypedDict):
    """How many copies."""

    min: int
    """Least. 0 only with `scaling`."""
    max: int
    """Most. Equal to `min`, and no `scaling`: the number is fixed, and the kit keeps it."""
    initial: NotRequired[int]
    """Copies that a new workload starts with when a scaler owns the number. Default: `min`."""


class ServerStartup(TypedDict):
    """How long a copy takes to be ready."""

    probe_period_seconds: int
    """Between two startup probes."""
    probe_failures: int
    """Startup probes that may fail; times the period it is the longest start that is not a failure."""
    cold_seconds: float
    """Expected, with a new node, image and weights to fetch."""


class ServerPeer(TypedDict):
    """Pods that may connect."""

    namespace: NotRequired[str]
    """Their namespace. Default: the server's own."""
    labels: dict[str, str]
    """Their labels."""


class ModelServerArgs(TypedDict):
    """One revision of a model. Every field is plain: they decide names, sizes and what an update does."""

    namespace: str
    """Namespace of all its objects."""
    stack: str
    """Name of the stack, for labels."""
    model: str
    """The name that clients send as `model`."""
    backends: str
    """The set of backends that the replicas are: the model's own, its canary's or its shadow's."""
    engine: str
    """Name of the engine adapter."""
    task: str
    """`generate` or `embed`."""
    image: str
    """Image of the engine, by digest: `repository@sha256:…` or `repository:tag@sha256:…`."""
    limits: ServerLimits
    """Tokens and requests of one replica."""
    options: dict[str, str]
    """The engine's own options."""
    shards: int
    """GPUs that hold one copy of the weights together, on all hosts of a replica."""
    gpu: NotRequired[ServerGpu]
    """Accelerators. Default: none."""
    cpu_millis: int
    """Requested thousandths of a core of one pod."""
    memory_bytes: int
    """Memory of one pod, requested and at most, shared memory included."""
    shm_bytes: int
    """Size of /dev/shm; 0 leaves the runtime's 64 MiB."""
    disk_bytes: int
    """Most that a pod may write into one of its scratch folders."""
    weights: ServerWeights
    """Where the weights are."""
    replicas: ServerReplicas
    """How many copies."""
    rollout: str
    """`surge`: a new replica before an old one goes, which needs GPUs of one more. `in_place`: an old one goes before
    a new one comes, which costs its capacity. `blue_green`: all new ones beside all old ones, then the switch."""
    startup: ServerStartup
    """How long a copy takes to be ready."""
    scaling: NotRequired[ServerScaling]
    """What the number of replicas follows, between the same `min` and `max` as in `replicas`; the kit then never sets
    the number of a workload that is there. Default: nothing scales them.
    """
    priority_class: NotRequired[str]
    """Priority class of the pods; the kit's Namespace makes `<namespace>-model-server`. Default: the cluster's."""
    hosts_per_replica: NotRequired[int]
    """Nodes of one replica; more than one makes a LeaderWorkerSet. Default: 1."""
    gateway: NotRequired[ServerPeer]
    """Who may send requests. Default: the kit's gateway in the same namespace."""
    prometheus: NotRequired[ServerPeer]
    """Who may read metrics. Default: the kit's Prometheus in the same namespace."""
    image_pull_secret: NotRequired[str]
    """Name of a Secret of type kubernetes.io/dockerconfigjson in the namespace, by which images are pulled. Default:
    the nodes' own credentials."""
    pod_annotations: NotRequired[dict[str, str]]
    """Further annotations of the pods. A change of them rolls the pods."""
