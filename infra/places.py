"""Where berth keeps things: `.berth` in a checkout, the cache folder of the user."""

import os
import secrets
from pathlib import Path

from infra.toolchain.cache import default_root


def home(root: Path) -> Path:
    """Folder of everything that the kit writes into the checkout `root`, `.venv` apart."""
    return root / ".berth"


def stack_dir(root: Path, stack: str) -> Path:
    """Run-time files of a local stack: processes, logs, gateway files, Prometheus' samples."""
    return home(root) / "stacks" / stack


def store_root() -> Path:
    """The model store of this machine; in the cache, so that checkouts share it."""
    return default_root() / "models"


def write_secret_once(path: Path) -> str:
    """The secret in `path`; made from 256 random bits, readable by its owner alone, where there is none yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(32))
    try:
        # A link, not a rename: of two runs at once the first one's secret stays, and no one reads a half-written file.
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_text()
