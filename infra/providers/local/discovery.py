"""Joining and leaving the gateway's set of backends."""

from collections.abc import Mapping
from pathlib import Path

from infra.providers.local.spec import Discovery
from serving.gateway import Backend, Registry


def join(discovery: Discovery, replica: str, ports: Mapping[str, int]) -> None:
    """The replica takes requests from now on; it replaces an older process of the same name in one step."""
    backend = Backend(replica, "127.0.0.1", ports[discovery.port], dict(discovery.metadata), discovery.weight)
    Registry(Path(discovery.registry)).add(discovery.model, backend)


def leave(discovery: Discovery, replica: str) -> None:
    """The replica gets no new requests. Even the last one may go: its resource is being deleted on purpose."""
    Registry(Path(discovery.registry)).remove(discovery.model, replica, force=True)
