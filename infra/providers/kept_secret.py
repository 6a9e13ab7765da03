"""`KeptSecret`: random bytes that are made once and kept, encrypted, in the stack's state.

Everybody who deploys the stack reads the same state, so two people's `up` agree on the value; a file on one of their
machines would not do.
"""

import secrets
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, Resource, ResourceProvider


class KeptSecretProvider(ResourceProvider):
    """Makes the value; nothing but a new resource ever changes it."""

    def create(self, _props: dict[str, Any]) -> CreateResult:
        """256 random bits in hexadecimal."""
        return CreateResult(id_="kept-secret", outs={"value": secrets.token_hex(32)})


class KeptSecret(Resource, module="stack", name="KeptSecret"):
    """256 random bits. Known from the first `up` on."""

    value: pulumi.Output[str]
    """64 hexadecimal digits; secret."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        hidden = pulumi.ResourceOptions(additional_secret_outputs=["value"])
        super().__init__(KeptSecretProvider(), name, {"value": None}, pulumi.ResourceOptions.merge(opts, hidden))
