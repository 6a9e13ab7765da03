"""Writing a rendered stack to its folder."""

from collections.abc import Mapping
from pathlib import Path


def write(folder: Path, files: Mapping[str, str]) -> list[Path]:
    """Writes the files and removes those of an earlier run that are no more; what changed."""
    folder.mkdir(parents=True, exist_ok=True)
    changed = []
    for old in sorted(folder.iterdir()):
        if old.suffix in (".yaml", ".md") and old.name not in files:
            old.unlink()
            changed.append(old)
    for name, content in files.items():
        path = folder / name
        if not path.exists() or path.read_text() != content:
            path.write_text(content)
            changed.append(path)
    return changed
