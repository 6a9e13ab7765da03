"""A model's servers on Kubernetes: pods, the name that finds them, and what protects them."""

import pulumi

from infra.components.kubernetes import names, server_objects
from infra.components.kubernetes.making import child_of, make
from infra.components.kubernetes.rollout import Rollout
from infra.components.kubernetes.server import Server
from infra.components.kubernetes.server_args import ModelServerArgs
from infra.components.kubernetes.server_workload import Limits, limits, workload, workload_name


class ModelServer(pulumi.ComponentResource):
    """One revision of a model: Deployment or LeaderWorkerSet, Service, account, policy, budget and scaler.

    An update is over when its pods are ready; one that fails leaves the old pods serving, and the next one goes on from
    there, or back. Raises ArgumentsError for arguments that make no server.
    """

    name: str
    """Of the Service and of the component."""
    host: str
    """DNS name inside the cluster; its addresses are the pods that are ready."""
    port: int
    """TCP port."""

    def __init__(self, name: str, args: ModelServerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        server = Server.parse(name, args)
        # `initial` is for a workload that is being made. Kept with the others it would make a change of each scaling.
        replicas = {key: value for key, value in args["replicas"].items() if key != "initial"}
        super().__init__("berth:index:ModelServer", name, {**args, "replicas": replicas}, opts)
        child = child_of(self, opts)
        account = make(name, server_objects.service_account(server), child)
        policy = make(name, server_objects.network_policy(server), child)
        pods = make(
            # With old and new side by side each is a resource of its own: when the new one fails, the old one has not
            # been touched, and going back to it is no change at all.
            workload_name(server),
            workload(server),
            pulumi.ResourceOptions.merge(
                child,
                pulumi.ResourceOptions(
                    depends_on=[account, policy],
                    custom_timeouts=_timeouts(limits(server)),
                    ignore_changes=["spec.replicas"] if server.scaling else [],
                ),
            ),
        )
        make(
            name,
            server_objects.service(server),
            # The switch: requests go to the new pods when all of them are ready. The old ones go at the very end.
            pulumi.ResourceOptions(parent=self, depends_on=[pods]) if server.rollout is Rollout.BLUE_GREEN else child,
        )
        make(name, server_objects.disruption_budget(server), child)
        if server.scaling:
            make(
                name,
                server_objects.scaler(server, server.scaling),
                pulumi.ResourceOptions(parent=self, depends_on=[pods]),
            )
        self.name = name
        self.host = names.host(name, server.namespace)
        self.port = names.SERVER_PORT
        self.register_outputs({"name": self.name, "host": self.host, "port": self.port})


def _timeouts(found: Limits) -> pulumi.CustomTimeouts:
    return pulumi.CustomTimeouts(create=f"{found.create}s", update=f"{found.update}s", delete=f"{found.delete}s")
