"""The whole configuration of a gateway, in two forms: files that change while it runs, and one file to check."""

from pathlib import Path

from serving.gateway.bootstrap import base, bootstrap
from serving.gateway.clusters import clusters, eds
from serving.gateway.endpoints import assignment
from serving.gateway.envoy import Json, discovery
from serving.gateway.listeners import listener, rds
from serving.gateway.routes import routes
from serving.gateway.spec import GatewaySpec


def files(spec: GatewaySpec, directory: Path) -> dict[str, Json]:
    """File name to content, for a gateway that reads them in `directory` (absolute). Endpoints are not among them:
    the registry writes those."""
    return {
        "bootstrap.json": bootstrap(spec, directory),
        "lds.json": discovery("config.listener.v3.Listener", [listener(spec, rds(directory))]),
        "cds.json": discovery("config.cluster.v3.Cluster", clusters(spec, lambda name: eds(name, directory))),
        "rds.json": discovery("config.route.v3.RouteConfiguration", [routes(spec)]),
    }


def static(spec: GatewaySpec) -> Json:
    """The same as one static file without endpoints: what `envoy --mode validate` can check to the last field."""
    return base(spec) | {
        "static_resources": {
            "listeners": [listener(spec, {"route_config": routes(spec)})],
            "clusters": clusters(spec, lambda name: {"type": "STATIC", "load_assignment": assignment(name, [])}),
        }
    }
