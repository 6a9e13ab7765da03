"""The local platform: model servers, gateway and Prometheus as processes of this machine."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pulumi

from infra import toolchain
from infra.components.local.gateway import LocalGateway
from infra.components.local.model_server import LocalModelServer
from infra.components.local.prometheus import LocalPrometheus
from infra.places import stack_dir, write_secret_once
from infra.planning import ModelPlan, Plan
from infra.platforms import weights
from infra.platforms.base import Outputs, endpoints
from infra.platforms.gateway import gateway_spec, private
from infra.platforms.machine import obstacles
from infra.platforms.revisions import revisions
from infra.providers.local.daemon import Daemon
from infra.providers.local.gateway_config import plain
from infra.providers.local.supervisor import LocalSupervisor
from infra.settings import Settings

KEY_PREFIX = "sk-berth-"
OWN_TENANT = "local"
"""The tenant of the key that the kit makes."""


class LocalPlatform:
    """One machine."""

    def build(self, settings: Settings, plan: Plan) -> Outputs:
        """Checks the machine, then registers supervisor, servers, gateway and Prometheus."""
        directory = stack_dir(Path(pulumi.get_root_directory()), settings.stack)
        programs = find_programs()
        folders = weights.find(settings)
        check_machine(settings, plan, directory)

        supervisor = LocalSupervisor("supervisor", {"stack_dir": str(directory)})
        under_supervisor = pulumi.ResourceOptions(depends_on=[supervisor])
        ports = [settings.local.ports.first, settings.local.ports.last]
        registry, targets = directory / "gateway", directory / "targets"
        servers = [
            LocalModelServer(
                revision.server,
                {
                    "model": model.model,
                    "backends": revision.backends,
                    "stack_dir": str(directory),
                    "engine": model.engine,
                    "task": model.task,
                    "weights": str(folders[revision.source]),
                    "replicas": revision.replicas,
                    "limits": _limits(model),
                    "options": dict(settings.models[model.model].options),
                    "port_range": ports,
                    "routing_weights": list(revision.weights),
                    "registry": str(registry),
                    "targets": str(targets),
                },
                under_supervisor,
            )
            for model in plan.models
            for revision in revisions(settings, model)
        ]
        key = KEY_PREFIX + write_secret_once(directory / "api_key")
        front = LocalGateway(
            "gateway",
            {
                "stack_dir": str(directory),
                "directory": str(registry),
                "spec": plain(gateway_spec(settings, plan, port=settings.gateway.port)),
                "private": secrets_of_gateway(settings, key),
                "envoy": str(programs["envoy"]),
                "picker": str(programs["picker"]),
                "port_range": ports,
                "targets": str(targets),
            },
            # After the servers: a new model has backends before it has a route, a removed one loses its route first.
            pulumi.ResourceOptions(depends_on=[supervisor, *servers]),
        )
        prometheus = LocalPrometheus(
            "prometheus",
            {
                "stack_dir": str(directory),
                "program": str(programs["prometheus"]),
                "port": settings.monitoring.prometheus_port,
                "retention_seconds": int(settings.monitoring.retention),
                "targets": str(targets),
            },
            under_supervisor,
        )
        chats = [model.model for model in plan.models if model.task == "generate"]
        return Outputs(
            endpoints=endpoints(front.url, settings.models),
            api_key=pulumi.Output.secret(key),
            dashboards={"prometheus": prometheus.url},
            example_model=chats[0] if chats else None,
            plan=plan.to_dict(),
        )


def secrets_of_gateway(settings: Settings, own_key: str) -> pulumi.Output[dict[str, Any]]:
    """Tenants and keys of providers, from the stack's encrypted config; the kit's own tenant comes first."""
    section: pulumi.Output[dict[str, Any]] = pulumi.Output.secret(
        pulumi.Config("berth").get_secret_object("gateway") or {}
    )
    return section.apply(lambda values: private(values, settings, {OWN_TENANT: own_key}))


def find_programs() -> dict[str, Path]:
    """Paths of the external programs. Raises `pulumi.RunError` with the ways to get those that are missing."""
    found, lacking = {}, []
    for name in ("envoy", "picker", "prometheus"):
        part = toolchain.find(name)
        if isinstance(part, toolchain.Missing):
            lacking.append(name)
        else:
            found[name] = part.path
    if lacking:
        raise pulumi.RunError(
            f"missing on this machine: {', '.join(lacking)}; `make up` gets them, `make doctor` tells how"
        )
    return found


def check_machine(settings: Settings, plan: Plan, directory: Path) -> None:
    """Raises `pulumi.RunError` with all that stands in the way, before anything is created."""
    ports = {"gateway.port": settings.gateway.port, "monitoring.prometheus_port": settings.monitoring.prometheus_port}
    memory = {
        f"{revision.server}-{number}": model.memory_bytes
        for model in plan.models
        for revision in revisions(settings, model)
        for number in range(1, revision.replicas + 1)
    }
    found = list(obstacles(Daemon(directory), ports, memory))
    if found:
        file = f"stacks/Pulumi.{settings.stack}.yaml"
        raise pulumi.RunError("\n".join(f"{file}: {text}" for text in found))


def _limits(model: ModelPlan) -> dict[str, int]:
    return {name: value for name, value in asdict(model.limits).items() if value is not None}
