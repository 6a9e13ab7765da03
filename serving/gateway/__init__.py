"""The gateway: one address in front of all models. Pure builders of Envoy's configuration, and the module it loads."""

from serving.gateway.admin import Admin, AdminError
from serving.gateway.config import files, static
from serving.gateway.drain import active_streams, drain
from serving.gateway.endpoints import Backend
from serving.gateway.install import InstallError, install, validate
from serving.gateway.keys import digest, new_key
from serving.gateway.process import command, environment
from serving.gateway.registry import Registry, RegistryError
from serving.gateway.spec import (
    GatewaySpec,
    HashOn,
    Health,
    Model,
    Policy,
    Retries,
    Routing,
    SpecError,
    Tenant,
    Timeouts,
)

__all__ = [
    "Admin",
    "AdminError",
    "Backend",
    "GatewaySpec",
    "HashOn",
    "Health",
    "InstallError",
    "Model",
    "Policy",
    "Registry",
    "RegistryError",
    "Retries",
    "Routing",
    "SpecError",
    "Tenant",
    "Timeouts",
    "active_streams",
    "command",
    "digest",
    "drain",
    "environment",
    "files",
    "install",
    "new_key",
    "static",
    "validate",
]
