"""A ConfigMap or Secret as the kubelet mounts it: files are links through `..data`, which is renamed to swap them all.

The steps are those of the kubelet's atomic writer: new files in a folder of their own, a new link beside the old one,
one rename, links for new names, then the old ones go.
"""

import itertools
from pathlib import Path

_numbers = itertools.count(1)


class MountedFolder:
    """A folder whose files change all at once."""

    def __init__(self, path: Path, files: dict[str, str]) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.swap(files)

    def swap(self, files: dict[str, str]) -> None:
        """Puts other files in the place of all that are there."""
        data = self.path / "..data"
        old = self.path / data.readlink() if data.is_symlink() else None
        new = self.path / f"..2026_11_24_12_00_00.{next(_numbers)}"
        new.mkdir()
        for name, text in files.items():
            (new / name).write_text(text)
        temporary = self.path / "..data_tmp"
        temporary.symlink_to(new.name)
        temporary.rename(data)
        for name in files:
            if not (self.path / name).is_symlink():
                (self.path / name).symlink_to(f"..data/{name}")
        for visible in self.path.iterdir():
            if not visible.name.startswith("..") and visible.name not in files:
                visible.unlink()
        if old:
            for file in old.iterdir():
                file.unlink()
            old.rmdir()
