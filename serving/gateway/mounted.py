"""A gateway in a pod: its configuration as folders that Kubernetes mounts.

Three folders, by how they change:

- `start`: bootstrap and listeners. They are read once; another content is another folder, hence another pod, since a
  changed listener cuts streams.
- `clusters` and `routes`: models, servers, keys, limits. They change under the running gateway. Kubernetes replaces all
  files of such a folder at once, by renaming the link `..data` in it, and that rename is what Envoy watches for.

The two live folders arrive in any order, up to a minute apart: routes may name a model whose servers are not known
yet. They are taken all the same (`validate_clusters` is off, and a refused file would not be tried again); to the
module such a model has no backend, so its requests wait, fall back or get 503, as after a scale to zero.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from serving.gateway.bootstrap import base
from serving.gateway.care import Dns
from serving.gateway.clusters import clusters, resolved
from serving.gateway.envoy import Json, discovery
from serving.gateway.listeners import ROUTES, listener
from serving.gateway.metrics import metrics, started_cluster, started_route
from serving.gateway.routes import routes
from serving.gateway.spec import GatewaySpec
from serving.gateway.tls import certificate, secured

Files = dict[str, Json]
"""File name to content."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the servers of one set of backends are found."""

    dns: Dns
    metadata: Mapping[str, float | int | str]
    """What the picker should know of each of them (see `Backend.metadata`)."""


@dataclass(frozen=True, slots=True)
class Mounts:
    """Where the folders are, and the ports besides those of the spec."""

    root: Path = Path("/etc/berth")
    metrics_host: str = "0.0.0.0"  # noqa: S104 - a pod's own address
    metrics_port: int = 9902
    https_port: int | None = None
    """None: no certificate, no HTTPS."""

    @property
    def start(self) -> Path:
        """Folder of `start_files`."""
        return self.root / "start"

    @property
    def clusters(self) -> Path:
        """Folder of `cluster_files`."""
        return self.root / "clusters"

    @property
    def routes(self) -> Path:
        """Folder of `route_files`."""
        return self.root / "routes"

    @property
    def certificate(self) -> Path:
        """Folder of tls.crt and tls.key."""
        return self.root / "certificate"


def start_files(spec: GatewaySpec, mounts: Mounts) -> Files:
    """Bootstrap and listeners; nothing secret. Tenants and keys in the spec are not looked at."""
    plain = listener(spec, {"rds": {"route_config_name": ROUTES, "config_source": _file(mounts.routes / "rds.json")}})
    listeners, found = [plain], {}
    if mounts.https_port:
        listeners.append(secured(plain, mounts.https_port, mounts.start / "sds.json"))
        found["sds.json"] = certificate(mounts.certificate)
    bootstrap = base(spec) | {
        "static_resources": metrics(spec, mounts.metrics_host, mounts.metrics_port),
        "dynamic_resources": {
            # Not watched: this folder never changes.
            "lds_config": {
                "path_config_source": {"path": str(mounts.start / "lds.json")},
                "resource_api_version": "V3",
            },
            "cds_config": _file(mounts.clusters / "cds.json"),
        },
    }
    return {
        "bootstrap.json": bootstrap,
        "lds.json": discovery("config.listener.v3.Listener", listeners),
        **found,
    }


def cluster_files(spec: GatewaySpec, sources: Mapping[str, Source], mounts: Mounts) -> Files:
    """Servers of every model, by name; nothing secret. `sources` has an entry for each of the models' backends.

    Raises KeyError for a set of backends without a source.
    """
    found = [*clusters(spec, lambda name: _source(name, sources)), started_cluster(mounts.metrics_port)]
    return {"cds.json": discovery("config.cluster.v3.Cluster", found)}


def route_files(spec: GatewaySpec) -> Files:
    """Routes, digests of tenants' keys, limits, keys of providers and peers: secret."""
    made = _routes(spec) | {"validate_clusters": False}
    return {"rds.json": discovery("config.route.v3.RouteConfiguration", [made])}


def static(spec: GatewaySpec, sources: Mapping[str, Source], mounts: Mounts) -> Json:
    """All of it as one file that Envoy can check on any machine: without certificate, and without peers, whose port it
    would take."""
    alone = replace(spec, peers=None)
    found = metrics(spec, mounts.metrics_host, mounts.metrics_port)
    configured = {"route_config": _routes(alone)}
    return base(alone) | {
        "static_resources": {
            "listeners": [*found["listeners"], listener(alone, configured)],
            "clusters": [
                *found["clusters"],
                started_cluster(mounts.metrics_port),
                *clusters(alone, lambda name: _source(name, sources)),
            ],
        }
    }


def _routes(spec: GatewaySpec) -> Json:
    made = routes(spec)
    (host,) = made["virtual_hosts"]
    return {**made, "virtual_hosts": [{**host, "routes": [started_route(), *host["routes"]]}]}


def _source(name: str, sources: Mapping[str, Source]) -> Json:
    return resolved(name, sources[name].dns, sources[name].metadata)


def _file(path: Path) -> Json:
    source = {"path": str(path), "watched_directory": {"path": str(path.parent)}}
    return {"path_config_source": source, "resource_api_version": "V3"}
