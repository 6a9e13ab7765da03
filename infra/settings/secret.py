"""Values that Pulumi keeps encrypted, and how settings point at them."""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic_core import PydanticCustomError

from infra.settings.kinds import Kind

_LOCAL_CIPHERTEXT = re.compile(r"v1:[A-Za-z0-9+/]+={0,2}:[A-Za-z0-9+/]+={0,2}")
# Nonce (12 bytes) and tag (16 bytes) of AES-GCM, which every secrets provider adds: less than that was never encrypted.
_SHORTEST_CIPHERTEXT_BYTES = 28


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Where a secret stands in the stack's config. It never holds the secret, not even encrypted.

    The Pulumi shell reads the value with `Config(namespace).require_secret_object(name)` and follows `path` into it.
    """

    key: str
    """Config key with its namespace, such as `berth:gateway`."""
    path: str
    """Path under that key, such as `tenants.acme.key`."""


def secret_command(key: str, path: str, stack: str) -> str:
    """The command that stores a secret; it asks for the value, so that none lands in the shell's history."""
    return f"pulumi config set --secret --path -s {stack} '{key}.{path}'"


def is_ciphertext(text: str) -> bool:
    """Whether text has the form of what Pulumi writes under `secure:`: catches a plaintext put there by hand."""
    if _LOCAL_CIPHERTEXT.fullmatch(text):
        return True
    try:
        return len(base64.b64decode(text, validate=True)) >= _SHORTEST_CIPHERTEXT_BYTES
    except binascii.Error:
        return False


def _secret(value: Any) -> SecretRef:
    if isinstance(value, SecretRef):
        return value
    # The value is left out on purpose: it may be the plaintext of a key. The translation adds the command.
    raise PydanticCustomError("secret_due", "secret due")


Secret = Annotated[
    SecretRef,
    Kind(
        _secret,
        {
            "type": "object",
            "properties": {"secure": {"type": "string", "description": "Ciphertext; written by Pulumi alone."}},
            "required": ["secure"],
            "additionalProperties": False,
        },
        lambda _: "(secret)",
    ),
]
"""A field that must be encrypted in the stack file: `{secure: ...}`."""
