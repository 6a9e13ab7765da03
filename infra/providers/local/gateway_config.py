"""`LocalGatewayConfig`: the part of the gateway's configuration that changes while it runs, as a Pulumi resource.

Models, routes, keys and limits go to a running gateway through files that it watches; no stream is cut. Envoy checks
the whole configuration first, and a refused one leaves the old one in place.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, TypedDict

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult
from pydantic import TypeAdapter

from infra.providers.local.daemon import ALIVE, Daemon
from infra.providers.local.process import instances
from serving import gateway

SERVICE = "gateway"
"""Name of the service whose process reads the files."""


class LocalGatewayConfigArgs(TypedDict):
    """One gateway's configuration."""

    stack_dir: str
    """Folder of the stack's run-time files."""
    directory: str
    """Folder of the gateway's files."""
    spec: dict[str, Any]
    """`plain(spec)`: no tenants, providers without keys."""
    private: pulumi.Input[dict[str, Any]]
    """`tenants` with the digests of their keys, `provider_keys` by name; secret."""
    envoy: str
    """Path of Envoy's executable."""
    picker: str
    """Path of libpicker.so."""


class LocalGatewayConfigProvider(ResourceProvider):
    """Installs and compares the files."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Checks and writes the files."""
        _install(props)
        return CreateResult(id_="gateway-config", outs=props)

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Another spec is a change; so are files that are not what the spec says."""
        same = all(_plain(olds[key]) == _plain(news[key]) for key in ("spec", "private"))
        return DiffResult(changes=not (same and _in_place(news)), replaces=[])

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Checks the new files and hands them to the running gateway step by step."""
        _install(news)
        return UpdateResult(outs=news)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Nothing: the files go with the stack's folder, after the gateway that reads them."""

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """No id where the files are gone or are other ones."""
        return ReadResult(id_=id_ if _in_place(props) else "", outs=props)


class LocalGatewayConfig(Resource, module="local", name="GatewayConfig"):
    """Models, routes, keys and limits of a gateway on this machine."""

    def __init__(self, name: str, args: LocalGatewayConfigArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        hidden = pulumi.ResourceOptions(additional_secret_outputs=["private"])
        super().__init__(LocalGatewayConfigProvider(), name, {**args}, pulumi.ResourceOptions.merge(opts, hidden))


def plain(spec: gateway.GatewaySpec) -> dict[str, Any]:
    """The spec as JSON values, without anything secret."""
    open_spec = replace(spec, tenants=(), providers=tuple(replace(provider, key="") for provider in spec.providers))
    values: dict[str, Any] = _adapter().dump_python(open_spec, mode="json")
    return values


def parse(values: Mapping[str, Any]) -> gateway.GatewaySpec:
    """Reads the form that `plain` writes."""
    return _adapter().validate_python(values)


@cache
def _adapter() -> TypeAdapter[gateway.GatewaySpec]:
    return TypeAdapter(gateway.GatewaySpec)


def _spec(props: dict[str, Any], admin_port: int) -> gateway.GatewaySpec:
    spec, private = props["spec"], props["private"]
    providers = [{**provider, "key": private["provider_keys"][provider["name"]]} for provider in spec["providers"]]
    return parse({**spec, "providers": providers, "tenants": private["tenants"], "admin_port": admin_port})


def _install(props: dict[str, Any]) -> None:
    gateway.install(
        _spec(props, _live_admin_port(props)),
        Path(props["directory"]),
        Path(props["envoy"]),
        Path(props["picker"]),
        # Each gateway process has a listener file of its own; the one written here is read by none.
        change_listener=True,
    )


def _live_admin_port(props: dict[str, Any]) -> int:
    daemon = Daemon(Path(props["stack_dir"]))
    alive = {program.name for program in daemon.list() if program.state in ALIVE}
    return next((found.ports["admin"] for found in instances(daemon, SERVICE) if found.name in alive), 1)


def _in_place(props: dict[str, Any]) -> bool:
    directory = Path(props["directory"])
    wanted = gateway.files(_spec(props, 1), directory)
    return all(_read(directory / name) == wanted[name] for name in ("cds.json", "rds.json"))


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text())
    except FileNotFoundError:
        return None


def _plain(value: Any) -> Any:
    # Through the dataclass's own types: the engine hands whole numbers back as floats.
    if isinstance(value, dict):
        return {key: _plain(below) for key, below in value.items()}
    if isinstance(value, list):
        return [_plain(below) for below in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
