"""The typed settings of a stack: what the operator asked for, checked before anything is created."""

from infra.settings.gateway import Gateway, Hold, Priority, Provider, Retries, Tenant, Timeouts
from infra.settings.loader import load, stacks
from infra.settings.messages import Problem, SettingsError
from infra.settings.models import Canary, Engine, Model, Objectives, Rollout, Shadow, Traffic
from infra.settings.replicas import Replicas
from infra.settings.routing import HashOn, Policy, Routing
from infra.settings.scaling import Floor, Scaling
from infra.settings.secret import SecretRef
from infra.settings.settings import Platform, Settings, stack_file
from infra.settings.source import Source

__all__ = [
    "Canary",
    "Engine",
    "Floor",
    "Gateway",
    "HashOn",
    "Hold",
    "Model",
    "Objectives",
    "Platform",
    "Policy",
    "Priority",
    "Problem",
    "Provider",
    "Replicas",
    "Retries",
    "Rollout",
    "Routing",
    "Scaling",
    "SecretRef",
    "Settings",
    "SettingsError",
    "Shadow",
    "Source",
    "Tenant",
    "Timeouts",
    "Traffic",
    "load",
    "stack_file",
    "stacks",
]
