"""Prometheus as a process of this machine."""

from pathlib import Path
from typing import TypedDict

import pulumi
import yaml

from infra.providers.local.service import LocalService
from infra.providers.local.spec import Drain, Health, ServiceSpec
from monitoring import prometheus


class LocalPrometheusArgs(TypedDict):
    """One Prometheus."""

    stack_dir: str
    """Folder of the stack's run-time files."""
    program: str
    """Path of the `prometheus` executable."""
    port: int
    """Port on 127.0.0.1."""
    retention_seconds: int
    """How long samples are kept, s."""
    targets: str
    """Folder of target files to watch."""


class LocalPrometheus(pulumi.ComponentResource):
    """Scrapes servers, gateway and itself."""

    url: str
    """http://127.0.0.1:<port>, known at preview."""

    def __init__(self, name: str, args: LocalPrometheusArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("berth:index:LocalPrometheus", name, {**args}, opts)
        LocalService(
            name,
            {"stack_dir": args["stack_dir"], "spec": prometheus_spec(name, args).plain()},
            pulumi.ResourceOptions(parent=self),
        )
        self.url = f"http://127.0.0.1:{int(args['port'])}"
        self.register_outputs({"url": self.url})


def prometheus_spec(name: str, args: LocalPrometheusArgs) -> ServiceSpec:
    """The process. No overlap: two of them cannot share a data folder."""
    return ServiceSpec(
        name=name,
        command=(
            args["program"],
            "--config.file={dir}/prometheus.yml",
            f"--storage.tsdb.path={Path(args['stack_dir']) / 'prometheus'}",
            f"--storage.tsdb.retention.time={int(args['retention_seconds'])}s",
            "--web.listen-address=127.0.0.1:{port.http}",
        ),
        ports={"http": int(args["port"])},
        health=Health(port="http", path="/-/ready"),
        drain=Drain(seconds=20),
        files={"prometheus.yml": yaml.safe_dump(prometheus.local_config(args["targets"]), sort_keys=False)},
        overlap=False,
    )
