"""A gateway as it runs in a pod: the files of its mounts, the real Envoy and module, names from a DNS server."""

import http.client
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from infra.toolchain import ensure
from serving.gateway import Admin, Dns, GatewaySpec, Model, command, environment
from serving.gateway.mounted import Mounts, Source, cluster_files, route_files, start_files
from tests.fakes.dns import FakeDns
from tests.gateway.harness import KEY, TENANT, Answer, free_port, model, until
from tests.support.mounted_folder import MountedFolder


@dataclass
class Pod:
    """One gateway and the folders that a kubelet would keep up to date."""

    spec: GatewaySpec
    mounts: Mounts
    dns: FakeDns
    ports: dict[str, int]
    """Where the servers of each set of backends listen; the name in DNS is <set>.models.test."""
    folders: dict[str, MountedFolder] = field(init=False)
    process: "subprocess.Popen[bytes]" = field(init=False)

    @property
    def admin(self) -> Admin:
        return Admin(self.spec.admin_port)

    def sources(self, spec: GatewaySpec) -> dict[str, Source]:
        resolvers = (f"127.0.0.1:{self.dns.port}",)
        return {
            name: Source(
                Dns(f"{name}.models.test", self.ports[name], resolvers, refresh=0.2), {"concurrent_requests": 8}
            )
            for each in spec.models
            for name in each.backends
        }

    def mount(self) -> None:
        """All folders, as before the first start of a container."""
        self.folders = {
            "start": MountedFolder(self.mounts.start, _texts(start_files(self.spec, self.mounts))),
            "clusters": MountedFolder(
                self.mounts.clusters, _texts(cluster_files(self.spec, self.sources(self.spec), self.mounts))
            ),
            "routes": MountedFolder(self.mounts.routes, _texts(route_files(self.spec))),
        }

    def swap_clusters(self, spec: GatewaySpec) -> None:
        self.folders["clusters"].swap(_texts(cluster_files(spec, self.sources(spec), self.mounts)))

    def swap_routes(self, spec: GatewaySpec) -> None:
        self.folders["routes"].swap(_texts(route_files(spec)))

    def healthy(self, name: str) -> int:
        stat = f"cluster.{name}.membership_healthy"
        return int(self.admin.stats(f"^{stat}$").get(stat, -1))

    def stat(self, name: str) -> int:
        return int(self.admin.stats(f"^{name}$".replace(".", r"\.")).get(name, 0))

    def request(self, port: int, method: str, path: str, body: Any = None, key: str | None = KEY) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        headers = {"authorization": f"Bearer {key}"} if key else {}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def chat(self, prompt: str = "hello", model: str = "chat", key: str | None = KEY, **fields: Any) -> Answer:
        body = {"model": model, "messages": [{"role": "user", "content": prompt}], **fields}
        return self.request(self.spec.port, "POST", "/v1/chat/completions", body, key)


@contextmanager
def pod(
    folder: Path,
    ports: Mapping[str, int],
    *models: Model,
    certificate: dict[str, str] | None = None,
    mounted: Mapping[str, dict[str, str]] = MappingProxyType({}),
    **fields: Any,
) -> Iterator[Pod]:
    """A running gateway; `ports` are those of the servers by set of backends, all at 127.0.0.1 at first.

    With the files of a certificate it speaks HTTPS as well; `mounted` are folders with other files than it should have.
    """
    made: dict[str, Any] = {
        "port": free_port(),
        "admin_port": free_port(),
        "models": models or (model(),),
        "tenants": (TENANT,),
        "access_log": str(folder / "access.json"),
        "workers": 2,
    }
    spec = GatewaySpec(**{**made, **fields})
    mounts = Mounts(folder / "berth", "127.0.0.1", free_port(), free_port() if certificate else None)
    dns = FakeDns()
    running = Pod(spec, mounts, dns, dict(ports))
    for name in ports:
        dns.records[f"{name}.models.test"] = ["127.0.0.1"]
    running.mount()
    for name, files in mounted.items():
        running.folders[name].swap(files)
    if certificate:
        running.folders["certificate"] = MountedFolder(mounts.certificate, certificate)
    errors = folder / "envoy.log"
    try:
        with errors.open("ab") as log:
            running.process = subprocess.Popen(
                command(spec, ensure("envoy"), mounts.start),
                env=os.environ | environment(ensure("picker")),
                stdout=log,
                stderr=log,
            )
        try:
            until(lambda: running.admin.ready() or running.process.poll() is not None, "the gateway is ready")
            assert running.process.poll() is None, errors.read_text()[-4000:]
            yield running
            assert "panicked" not in errors.read_text()
        finally:
            running.process.terminate()
            try:
                running.process.wait(10)
            except subprocess.TimeoutExpired:
                running.process.kill()
                running.process.wait()
    finally:
        dns.stop()


def _texts(files: dict[str, Any]) -> dict[str, str]:
    return {name: json.dumps(content) for name, content in files.items()}
