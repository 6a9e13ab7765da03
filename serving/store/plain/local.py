"""A folder of this machine, or of the image that runs."""

import shutil
from pathlib import Path

from serving.store.errors import RefusedError
from serving.store.location import Folder
from serving.store.manifest import FILE_NAME
from serving.store.plain.checksums import Checksum, Kind, hashed
from serving.store.plain.origin import Remote


class FolderOrigin:
    """Files by copying. They are hashed before and after."""

    mutable = True

    def __init__(self, source: str, folder: Folder) -> None:
        self._source, self._folder = source, Path(folder.path)

    def files(self) -> list[Remote]:
        """All files below the folder."""
        if not self._folder.is_dir():
            raise RefusedError(f"{self._source}: there is no such folder where the weights are staged")
        found = []
        for path in sorted(self._folder.rglob("*")):
            if path.is_file() and path.name != FILE_NAME:
                name = path.relative_to(self._folder).as_posix()
                found.append(Remote(name, path.stat().st_size, None, str(path.stat().st_mtime_ns)))
        return found

    def detailed(self, file: Remote) -> Remote:
        """With its hash."""
        known = hashed(self._folder / file.path).sha256
        return Remote(file.path, file.bytes, Checksum(Kind.SHA256, known), known)

    def tidy(self, folder: Path) -> None:
        """Nothing: copies are made under the same name again."""

    def fetch(self, file: Remote, folder: Path) -> None:
        """Through a file beside it, so that what is there is whole."""
        target = folder / file.path
        if target.exists():
            return
        part = folder / ".cache" / file.path
        part.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self._folder / file.path, part)
        target.parent.mkdir(parents=True, exist_ok=True)
        part.replace(target)
