"""A model server's arguments, checked, in the types that its manifests are made from. Nothing of Pulumi."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from infra.components.kubernetes import names
from infra.components.kubernetes.arguments import ArgumentsError, refuse
from infra.components.kubernetes.labels import Role, labels, owned, selector
from infra.components.kubernetes.rollout import Rollout
from infra.components.kubernetes.scaling import problems as scaling_problems
from infra.components.kubernetes.scaling_args import ServerScaling
from infra.components.kubernetes.server_args import ModelServerArgs, ServerGpu, ServerPeer
from serving import engines
from serving.engines.base import suggestion

_DIGEST = re.compile(r"[^\s@]+@sha256:[0-9a-f]{64}")
_LABEL = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_LOCATION = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")


@dataclass(frozen=True, slots=True)
class Peer:
    """Pods of a namespace; empty: the server's own."""

    labels: Mapping[str, str]
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class Gpu:
    """Devices of one pod."""

    resource: str
    count: int
    node_labels: Mapping[str, str]

    @property
    def taint(self) -> str:
        """Key of the taint of such nodes: slices of a GPU are on nodes that are tainted as those of whole ones."""
        return "nvidia.com/gpu" if self.resource.startswith("nvidia.com/") else self.resource


@dataclass(frozen=True, slots=True)
class Server:
    """One revision of a model."""

    name: str
    namespace: str
    stack: str
    backends: str
    engine: engines.Engine
    task: engines.Task
    replica: engines.Replica
    image: str
    verify_image: str
    claim: str
    gpu: Gpu | None
    cpu_millis: int
    memory_bytes: int
    shm_bytes: int
    disk_bytes: int
    least: int
    most: int
    initial: int
    scaling: ServerScaling | None
    rollout: Rollout
    probe_period_seconds: int
    probe_failures: int
    cold_seconds: float
    priority_class: str
    gateway: Peer
    prometheus: Peer
    image_pull_secret: str | None = None
    pod_annotations: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, name: str, args: ModelServerArgs) -> "Server":
        """Raises ArgumentsError with all that is wrong."""
        refuse(f"server {name}", _problems(name, args))
        gpu, replicas, startup, weights = args.get("gpu"), args["replicas"], args["startup"], args["weights"]
        server = cls(
            name=name,
            namespace=args["namespace"],
            stack=args["stack"],
            backends=args["backends"],
            engine=engines.engine(args["engine"]),
            task=engines.Task(args["task"]),
            replica=engines.Replica(
                model=args["model"],
                weights=names.weights(weights["location"]),
                port=names.SERVER_PORT,
                limits=engines.Limits(**args["limits"]),
                shards=args["shards"],
                options=dict(args["options"]),
                gpu=gpu is not None,
                hosts=args.get("hosts_per_replica", 1),
            ),
            image=args["image"],
            verify_image=weights["verify_image"],
            claim=weights["claim"],
            gpu=_gpu(gpu) if gpu else None,
            cpu_millis=args["cpu_millis"],
            memory_bytes=args["memory_bytes"],
            shm_bytes=args["shm_bytes"],
            disk_bytes=args["disk_bytes"],
            least=replicas["min"],
            most=replicas["max"],
            initial=replicas.get("initial", replicas["min"]),
            scaling=args.get("scaling"),
            rollout=Rollout(args["rollout"]),
            probe_period_seconds=startup["probe_period_seconds"],
            probe_failures=startup["probe_failures"],
            cold_seconds=startup["cold_seconds"],
            priority_class=args.get("priority_class", ""),
            gateway=_peer(args.get("gateway"), Role.GATEWAY),
            prometheus=_peer(args.get("prometheus"), Role.PROMETHEUS),
            image_pull_secret=args.get("image_pull_secret"),
            pod_annotations=dict(args.get("pod_annotations", {})),
        )
        try:
            server.engine.check(server.replica)
            server.engine.metrics(server.task)
        except engines.EngineError as error:
            raise ArgumentsError(f"server {name}: {error}") from error
        return server

    @property
    def selector(self) -> dict[str, str]:
        """Of all its pods, whatever their content."""
        return selector(Role.SERVER, self.name)

    @property
    def labels(self) -> dict[str, str]:
        """Of its pods: nothing in them changes in the life of a server, as a change would roll the pods."""
        return labels(Role.SERVER, self.name, self.stack, model=self.replica.model)

    def metadata(self, name: str = "", **more: Any) -> dict[str, Any]:
        """Of one of its objects."""
        return {
            "name": name or self.name,
            "namespace": self.namespace,
            "labels": {**self.labels, **owned(self.stack)},
            **more,
        }


def _gpu(args: ServerGpu) -> Gpu:
    return Gpu(args["resource"], args["count"], dict(args["node_labels"]))


def _peer(args: ServerPeer | None, role: Role) -> Peer:
    if args is None:
        return Peer({"app.kubernetes.io/name": str(role)})
    return Peer(dict(args["labels"]), args.get("namespace", ""))


def _problems(name: str, args: ModelServerArgs) -> Iterator[str]:
    if not _LABEL.fullmatch(name):
        yield f"the name {name!r} is not a DNS label; use at most 63 lower-case letters, digits and dashes"
    if name in names.TAKEN:
        yield f"the name {name!r} is that of another object in the namespace; give the model another name"
    for where, image in (("image", args["image"]), ("weights.verify_image", args["weights"]["verify_image"])):
        if not _DIGEST.fullmatch(image):
            yield (
                f"{where} is {image!r}; it must be pinned by digest (repository:tag@sha256:…), as a tag may mean "
                "other bytes tomorrow; `make images` writes the digests to images/images.lock"
            )
    if not _LOCATION.fullmatch(location := args["weights"]["location"]) or ".." in location.split("/"):
        yield f"weights.location is {location!r}; it must be a folder below the store's root"
    if (rollout := args["rollout"]) not in (known := [str(kind) for kind in Rollout]):
        yield f"rollout is {rollout!r}{suggestion(rollout, known)}"
    if (task := args["task"]) not in (tasks := [str(kind) for kind in engines.Task]):
        yield f"task is {task!r}{suggestion(task, tasks)}"
    if (kind := args["engine"]) not in engines.ENGINES:
        yield f"engine is {kind!r}{suggestion(kind, engines.ENGINES)}"
    yield from _number_problems(args)


def _number_problems(args: ModelServerArgs) -> Iterator[str]:
    least, most, scaling = args["replicas"]["min"], args["replicas"]["max"], args.get("scaling")
    if not 0 <= least <= most or most < 1:
        yield f"replicas are {least} to {most}; give 0 <= min <= max, and a max of at least 1"
    if scaling:
        yield from (f"scaling: {problem}" for problem in scaling_problems(scaling))
    if scaling and (scaling["min"], scaling["max"]) != (least, most):
        between = f"{scaling['min']} to {scaling['max']}"
        yield f"replicas are {least} to {most}, those of scaling {between}; make them equal"
    if not scaling and least != most:
        yield f"replicas are {least} to {most}, and nothing scales them; give `scaling`, or equal numbers"
    hosts, shards, gpu = args.get("hosts_per_replica", 1), args["shards"], args.get("gpu")
    if hosts < 1:
        yield f"hosts_per_replica is {hosts}; it must be at least 1"
    if gpu and gpu["count"] < 1:
        yield f"gpu.count is {gpu['count']}; it must be at least 1, or leave out gpu"
    if gpu and not gpu["node_labels"]:
        yield f"gpu.node_labels is empty; name the labels of the nodes with {gpu['type']}, or a pod may get another GPU"
    if gpu and shards > gpu["count"] * hosts:
        yield f"shards is {shards}; {hosts} x {gpu['count']} GPUs are too few for that"
    if args["shm_bytes"] >= args["memory_bytes"]:
        yield f"shm_bytes is {args['shm_bytes']}; it counts against memory_bytes ({args['memory_bytes']}), give more"
