"""The components that programs in other languages may use, and the server that constructs them there.

The engine runs `infra` as a plugin (PulumiPlugin.yaml) with its own address as the argument. The schema comes from the
annotations of the components' args; tests/program/kubernetes/schema.json holds it.
"""

from importlib.metadata import version

import pulumi
from pulumi.provider.experimental import component_provider_host

from infra.components.kubernetes.gateway import Gateway
from infra.components.kubernetes.gpu_pool import GpuPool
from infra.components.kubernetes.model_server import ModelServer
from infra.components.kubernetes.model_store import ModelStore
from infra.components.kubernetes.namespace import Namespace

PACKAGE = "berth"
"""First part of the components' type tokens."""
COMPONENTS: tuple[type[pulumi.ComponentResource], ...] = (Gateway, GpuPool, ModelServer, ModelStore, Namespace)


def serve() -> None:
    """Answers the engine until it closes; prints the port first."""
    component_provider_host(list(COMPONENTS), name=PACKAGE, version=version(PACKAGE))
