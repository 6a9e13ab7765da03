"""Tenants' keys: made here, shown once, kept as digests only."""

import hashlib
import secrets


def new_key() -> str:
    """A new key of 256 random bits. Such a key needs no slow hash: it cannot be guessed from its digest."""
    return "sk-" + secrets.token_urlsafe(32)


def digest(key: str) -> str:
    """What the gateway keeps of a key: SHA-256 in hexadecimal."""
    return hashlib.sha256(key.encode()).hexdigest()
