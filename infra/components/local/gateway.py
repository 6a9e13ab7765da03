"""The gateway as a process of this machine."""

import json
import sys
from pathlib import Path
from typing import Any, TypedDict

import pulumi

from infra.providers.local.gateway_config import SERVICE, LocalGatewayConfig, parse
from infra.providers.local.service import LocalService
from infra.providers.local.spec import AUTO, Drain, Health, Scrape, ServiceSpec
from serving import gateway

DRAIN_SECONDS = 60
"""How long a replaced gateway may go on with the streams it has."""


class LocalGatewayArgs(TypedDict):
    """One gateway."""

    stack_dir: str
    """Folder of the stack's run-time files."""
    directory: str
    """Folder of the gateway's files and its backend registry."""
    spec: dict[str, Any]
    """`gateway_config.plain(spec)`."""
    private: pulumi.Input[dict[str, Any]]
    """`tenants` with the digests of their keys, `provider_keys` by name; secret."""
    envoy: str
    """Path of Envoy's executable."""
    picker: str
    """Path of libpicker.so."""
    port_range: list[int]
    """First and last port that the admin page may take."""
    targets: str
    """Folder of Prometheus' target files."""


class LocalGateway(pulumi.ComponentResource):
    """Envoy with the picker. Models, routes and keys change under way; another listener, Envoy or picker rolls it."""

    url: str
    """http://127.0.0.1:<port>, known at preview."""

    def __init__(self, name: str, args: LocalGatewayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("berth:index:LocalGateway", name, {**args}, opts)
        config = LocalGatewayConfig(
            f"{name}-config",
            {
                "stack_dir": args["stack_dir"],
                "directory": args["directory"],
                "spec": args["spec"],
                "private": args["private"],
                "envoy": args["envoy"],
                "picker": args["picker"],
            },
            pulumi.ResourceOptions(parent=self),
        )
        LocalService(
            SERVICE,
            {"stack_dir": args["stack_dir"], "spec": gateway_process(args).plain()},
            pulumi.ResourceOptions(parent=self, depends_on=[config]),
        )
        self.url = f"http://127.0.0.1:{int(args['spec']['port'])}"
        self.register_outputs({"url": self.url})


def gateway_process(args: LocalGatewayArgs) -> ServiceSpec:
    """The process. Old and new one share the port while one takes over from the other."""
    spec = parse(args["spec"])
    shared = Path(args["directory"])
    return ServiceSpec(
        name=SERVICE,
        command=gateway.command(spec, Path(args["envoy"]), Path("{dir}")),
        env=gateway.environment(Path(args["picker"])),
        ports={"http": spec.port, "admin": AUTO},
        port_range=(int(args["port_range"][0]), int(args["port_range"][1])),
        health=Health(port="admin", path="/ready"),
        drain=Drain(
            seconds=20,
            command=(
                sys.executable,
                "-m",
                "serving.gateway",
                "drain",
                "--admin-port",
                "{port.admin}",
                "--seconds",
                str(DRAIN_SECONDS),
            ),
        ),
        files=gateway_files(spec, shared),
        scrape=Scrape(
            port="admin",
            path="/stats/prometheus",
            folder=args["targets"],
            labels={"job": "gateway", "replica": SERVICE},
        ),
    )


def gateway_files(spec: gateway.GatewaySpec, shared: Path) -> dict[str, str]:
    """Bootstrap and listener of one process; clusters, routes and endpoints it reads in the folder it shares."""
    files = gateway.files(spec, shared)
    bootstrap = files["bootstrap.json"]
    bootstrap["admin"]["address"]["socket_address"]["port_value"] = "{port.admin}"
    bootstrap["dynamic_resources"]["lds_config"]["path_config_source"] = {"path": "{dir}/lds.json"}
    return {name: json.dumps(files[name], indent=1) for name in ("bootstrap.json", "lds.json")}
