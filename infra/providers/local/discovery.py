"""Joining and leaving the gateway's set of backends."""

from collections.abc import Mapping

from infra.providers.local.spec import Discovery


def join(discovery: Discovery, replica: str, ports: Mapping[str, int]) -> None:
    """x"""


def leave(discovery: Discovery, replica: str) -> None:
    """x"""
