"""The gateway: one address in front of all models. Pure builders of Envoy's configuration, and the module it loads."""

from serving.gateway.admin import Admin, AdminError
from serving.gateway.care import Caps, Dns, Health, Hold, Retries, Timeouts, Tokens
from serving.gateway.config import files, static
from serving.gateway.drain import active_streams, drain
from serving.gateway.endpoints import Backend
from serving.gateway.install import InstallError, install, validate
from serving.gateway.keys import digest, new_key
from serving.gateway.model import Model
from serving.gateway.peers import Peers
from serving.gateway.process import command, environment
from serving.gateway.provider import Provider
from serving.gateway.registry import Registry, RegistryError
from serving.gateway.routing import HashOn, Policy, Routing
from serving.gateway.spec import GatewaySpec, SpecError
from serving.gateway.tenant import Priority, Tenant

__all__ = [
    "Admin",
    "AdminError",
    "Backend",
    "Caps",
    "Dns",
    "GatewaySpec",
    "HashOn",
    "Health",
    "Hold",
    "InstallError",
    "Model",
    "Peers",
    "Policy",
    "Priority",
    "Provider",
    "Registry",
    "RegistryError",
    "Retries",
    "Routing",
    "SpecError",
    "Tenant",
    "Timeouts",
    "Tokens",
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
