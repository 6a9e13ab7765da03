"""The components that programs in other languages may use, and the server that constructs them there.

The engine runs `infra` as a plugin (PulumiPlugin.yaml) with its own address as the argument. The schema comes from the
annotations of the components' args; tests/program/kubernetes/schema.json holds it.
"""

import sys
from importlib.metadata import version
from typing import Any

import pulumi
from pulumi.errors import InputPropertiesError, InputPropertyErrorDetails
from pulumi.provider import ConstructResult, main
from pulumi.provider.experimental.analyzer import PropertyDefinition, PropertyType
from pulumi.provider.experimental.component import ComponentProvider
from pulumi.provider.server import ComponentInitError

from infra.components.kubernetes.arguments import ArgumentsError
from infra.components.kubernetes.gateway import Gateway
from infra.components.kubernetes.gpu_pool import GpuPool
from infra.components.kubernetes.model_server import ModelServer
from infra.components.kubernetes.model_store import ModelStore
from infra.components.kubernetes.namespace import Namespace

PACKAGE = "berth"
"""First part of the components' type tokens."""
COMPONENTS: tuple[type[pulumi.ComponentResource], ...] = (Gateway, GpuPool, ModelServer, ModelStore, Namespace)


class _Provider(ComponentProvider):
    """Components as Python has them: whole numbers are whole, and what is wrong with arguments is told without code."""

    def construct(
        self, name: str, resource_type: str, inputs: Any, options: pulumi.ResourceOptions | None = None
    ) -> ConstructResult:
        """Makes one. Raises InputPropertiesError for arguments that make none."""
        try:
            return super().construct(name, resource_type, inputs, options)
        except ComponentInitError as error:
            if isinstance(error.inner, ArgumentsError):
                # With an empty list: the SDK fails on none.
                raise InputPropertiesError(str(error.inner), []) from None
            raise

    def map_input_properties(
        self,
        inputs: Any,
        properties: dict[str, PropertyDefinition],
        mapping: dict[str, str],
        component_name: str,
        property_path: str,
    ) -> Any:
        """The inputs by their names in Python. All numbers come as floats."""
        mapped: dict[str, Any] = {
            **super().map_input_properties(inputs, properties, mapping, component_name, property_path)
        }
        broken: list[InputPropertyErrorDetails] = []
        for name, definition in properties.items():
            given, path = mapped.get(mapping[name]), f"{property_path}.{name}" if property_path else name
            of_each = definition.additional_properties
            if definition.type is PropertyType.INTEGER and given is not None:
                mapped[mapping[name]] = _whole(given, path, broken)
            elif of_each is not None and of_each.type is PropertyType.INTEGER and isinstance(given, dict):
                mapped[mapping[name]] = {key: _whole(item, f"{path}.{key}", broken) for key, item in given.items()}
        if broken:
            raise InputPropertiesError(f"{component_name}: numbers that are not whole", broken)
        return mapped


def _whole(given: Any, path: str, broken: list[InputPropertyErrorDetails]) -> Any:
    if not isinstance(given, float):
        return given
    if not given.is_integer():
        broken.append({"property_path": path, "reason": f"{given:g} is not a whole number"})
    return int(given)


def serve() -> None:
    """Answers the engine until it closes; prints the port first."""
    main(_Provider(list(COMPONENTS), PACKAGE, version=version(PACKAGE)), sys.argv[1:])
