"""The part of a volume where one version is put together: one stager at a time, one rename at the end."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from serving.store.errors import RefusedError, StoreError

_FOLDER, _GONE = ".staging", ".gone-"
_SPARE_BYTES = 64 * 2**20
"""Left free, besides a hundredth of what is fetched: file systems need room for themselves."""


class Workplace:
    """Where the version of one location is put together."""

    def __init__(self, root: Path, location: str, report: Callable[[str], None]) -> None:
        self.root, self.target = root, root / location
        self._report = report
        self._base = root / _FOLDER
        self._name = location.replace("/", "--")
        self.folder = self._base / self._name
        """What an interrupted staging left is found here, and used."""

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Waits for another stager of the same version.

        On volumes without locks over machines two may work at once. They write whole files by rename, so they do not
        harm each other; the one whose rename comes second finds the version there.
        """
        self._base.mkdir(parents=True, exist_ok=True)
        with (self._base / f"{self._name}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._report("another stager is at the same version; waiting for it")
                fcntl.flock(lock, fcntl.LOCK_EX)
            except OSError as error:
                self._report(f"the volume has no locks ({error.strerror}); going on without")
            yield

    def prepare(self) -> None:
        """The folder, on a volume that can rename one: found out now, not after an hour."""
        self.folder.mkdir(exist_ok=True)
        probe = self._base / f".probe-{os.getpid()}"
        renamed = probe.with_suffix(".renamed")
        probe.mkdir()
        try:
            probe.rename(renamed)
            renamed.rmdir()
        except OSError as error:
            probe.rmdir()
            raise RefusedError(
                f"the volume at {self.root} cannot rename folders ({error.strerror}), so versions could be seen half "
                "done; use a class with a POSIX file system, such as EFS, FSx, CephFS or NFS"
            ) from None

    def has_room(self, needed: int) -> bool:
        """Whether `needed` bytes more fit on the volume."""
        return free_bytes(self.root) >= _with_spare(needed)

    def check_room(self, needed: int, what: str) -> None:
        """Raises StoreError unless they fit."""
        if not self.has_room(needed):
            raise StoreError(
                f"{what} needs {size(_with_spare(needed))} on the volume at {self.root}, and "
                f"{size(free_bytes(self.root))} are free; "
                "enlarge the volume's claim, or remove versions that no server uses any more"
            )

    def remove(self, folder: Path) -> None:
        """A version: out of sight in one step, then away. Another stager may be at the same."""
        gone = Path(tempfile.mkdtemp(prefix=_GONE, dir=self._base))
        with suppress(FileNotFoundError):
            folder.rename(gone / folder.name)
        shutil.rmtree(gone, ignore_errors=True)

    def left_behind(self, kept: Collection[str]) -> list[Path]:
        """What stagings at other locations than `kept`, and removals, did not end."""
        names = {location.replace("/", "--") for location in kept}
        folders = sorted(path for path in self._base.iterdir() if path.is_dir())
        return [
            path for path in folders if path.name.startswith(_GONE) or (path.name[0] != "." and path.name not in names)
        ]

    def take_back(self) -> None:
        """Moves a damaged version out of sight, to be mended: what is whole in it need not be fetched again."""
        if self.folder.exists():
            shutil.rmtree(self.folder)
        self.target.rename(self.folder)

    def publish(self) -> None:
        """Gives the folder its name."""
        for path in sorted(self.folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
            flush(path)
        self.folder.chmod(0o755)
        flush(self.folder)
        self.target.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.folder.rename(self.target)
        except OSError:
            if not self.target.exists():
                raise
            # The other one, on a volume without locks, was first.
            shutil.rmtree(self.folder, ignore_errors=True)
        flush(self.target.parent)


def flush(path: Path) -> None:
    """To the disk, so that a name never outlives its content."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def free_bytes(root: Path) -> int:
    """Of the volume."""
    return shutil.disk_usage(root).free


def _with_spare(needed: int) -> int:
    return needed + needed // 100 + _SPARE_BYTES if needed else 0


def size(count: int) -> str:
    """Bytes for people."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count //= 1000
    return f"{count:.0f} GB" if count < 10_000 else f"{count / 1000:.1f} TB"
