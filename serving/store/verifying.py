"""Whether a stored model, of whichever kind, is what its manifest says."""

import json
from pathlib import Path

from serving.store.manifest import FILE_NAME, verify
from serving.store.plain.record import SCHEMA
from serving.store.plain.verifying import verify_plain


def verify_folder(folder: Path, *, whole: bool = False) -> None:
    """Converted models are always hashed whole: they are small. See `verify_plain` for the others.

    StoreError names each file that differs, what was expected and what was found.
    """
    if _is_plain(folder):
        verify_plain(folder, whole=whole)
    else:
        verify(folder)


def _is_plain(folder: Path) -> bool:
    """By the manifest's schema; one that cannot be read is for the kind's own check to refuse."""
    try:
        content = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("schema") == SCHEMA
