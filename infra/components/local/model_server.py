"""All replicas of one model as processes of this machine."""

from typing import TypedDict

import pulumi

from infra.providers.local.service import LocalService
from infra.providers.local.spec import AUTO, Discovery, Drain, Health, Scrape, ServiceSpec
from serving import engines


class LocalModelServerArgs(TypedDict):
    """One revision of a model."""

    model: str
    """The name that clients send as `model`."""
    backends: str
    """The name of the set of backends that the replicas join: the model's own, its canary's or its shadow's."""

    stack_dir: str
    """Folder of the stack's run-time files."""
    engine: str
    """Name of the engine adapter."""
    task: str
    """`generate` or `embed`."""
    weights: str
    """Folder of a version in the model store."""
    replicas: int
    """Processes."""
    limits: dict[str, int]
    """`serving.engines.Limits`: tokens and requests."""
    options: dict[str, str]
    """The engine's own options."""
    port_range: list[int]
    """First and last port that a replica may take."""
    routing_weights: list[int]
    """One a replica for the policy `weighted`; empty for equal ones."""
    registry: str
    """Folder of the gateway's backend registry."""
    targets: str
    """Folder of Prometheus' target files."""


class LocalModelServer(pulumi.ComponentResource):
    """Replicas `<name>-1` … `<name>-N`, each a resource of its own, updated one after the other."""

    replicas: list[LocalService]
    """The processes, in order."""

    def __init__(self, name: str, args: LocalModelServerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("berth:index:LocalModelServer", name, {**args}, opts)
        self.replicas = []
        for number in range(1, int(args["replicas"]) + 1):
            # Each waits for the one before, so an update rolls: never more than one replica is in change.
            self.replicas.append(
                LocalService(
                    f"{name}-{number}",
                    {"stack_dir": args["stack_dir"], "spec": replica_spec(name, number, args).plain()},
                    pulumi.ResourceOptions(parent=self, depends_on=self.replicas[-1:]),
                )
            )
        self.register_outputs({"replicas": len(self.replicas)})


def replica_spec(server: str, number: int, args: LocalModelServerArgs) -> ServiceSpec:
    """The process of one replica."""
    engine = engines.engine(args["engine"])
    replica = engines.Replica(
        model=args["model"],
        weights=args["weights"],
        port="{port.http}",
        limits=engines.Limits(**{name: int(value) for name, value in args["limits"].items()}),
        options=args["options"],
    )
    name = f"{server}-{number}"
    return ServiceSpec(
        name=name,
        command=engine.command(replica),
        env=engine.env(replica),
        ports={"http": AUTO},
        port_range=(int(args["port_range"][0]), int(args["port_range"][1])),
        health=Health(port="http", path=engine.probes.path, seconds=engine.probes.startup_seconds),
        drain=Drain(
            seconds=engine.drain.grace_seconds - engine.drain.prestop_seconds,
            settle_seconds=engine.drain.prestop_seconds,
        ),
        discovery=Discovery(
            model=args["backends"],
            port="http",
            registry=args["registry"],
            metadata={"concurrent_requests": replica.limits.max_concurrent_requests},
            weight=int(args["routing_weights"][number - 1]) if args["routing_weights"] else 1,
        ),
        scrape=Scrape(
            port="http",
            path=engine.metrics(engines.Task(args["task"])).path,
            folder=args["targets"],
            labels={"job": "server", "engine": engine.name, "model": args["model"], "replica": name},
        ),
    )
