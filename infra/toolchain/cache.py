"""The folder that keeps what was fetched or built, shared by all checkouts of a user.

parts/<part>/<version>-<recipe>/   installed files and a receipt; made whole by one rename, never changed after
engines/<key>/                     a source-built engine with the Python host of one checkout beside it
staging/                           what is being put together right now
downloads/<part>/                  downloads that may go on
work/<part>/                       what compilers keep between builds
logs/<part>.log                    output of the last long command
locks/<part>.lock                  held while a part is fetched or built
versions.json                      what programs on PATH said of their version
"""

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from infra.toolchain.progress import Progress

RECEIPT = "berth-part.json"


def default_root(environment: Mapping[str, str] = os.environ) -> Path:
    """`$BERTH_CACHE`, else `$XDG_CACHE_HOME/berth`, else `~/.cache/berth`."""
    if own := environment.get("BERTH_CACHE"):
        return Path(own).expanduser().absolute()
    base = environment.get("XDG_CACHE_HOME")
    # The XDG rules: a path that is not absolute is to be ignored.
    return (Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache") / "berth"


@dataclass(frozen=True, slots=True)
class Receipt:
    """Written last into an installed folder: without it the folder does not count."""

    version: str
    """What the program itself reports, or the version it was asked for."""
    way: str
    """Kind of the way it came by: `release`, `wheel`, `deb`, `go`, `crate`."""
    origin: str
    """The way in words."""
    checked: str
    """What its bytes were checked against."""
    sizes: dict[str, int]
    """Bytes of every installed file: a look at these finds a damaged copy without reading it."""
    seconds: float
    """How long it took to get."""


@dataclass(frozen=True, slots=True)
class Cache:
    """One cache folder; it is made when something is first put in."""

    root: Path

    def home(self, part: str, version: str, recipe: str) -> Path:
        """Where a part lies that was made by this recipe."""
        return self.root / "parts" / part / f"{version}-{recipe}"

    def receipt(self, home: Path) -> Receipt | None:
        """The receipt of an installed part; None when it is not there, or a file of it is missing or cut short."""
        try:
            receipt = Receipt(**json.loads((home / RECEIPT).read_text()))
            whole = all((home / name).stat().st_size == size for name, size in receipt.sizes.items())
        except (OSError, ValueError, TypeError):
            return None
        return receipt if whole else None

    @contextmanager
    def locked(self, part: str, progress: Progress) -> Iterator[None]:
        """Holds the part's lock. A second run waits, and says for whom. The lock goes when its holder ends, however."""
        path = self.root / "locks" / f"{part}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                progress.say(f"{part}: process {file.read().strip() or '?'} is getting it already; waiting")
                fcntl.flock(file, fcntl.LOCK_EX)
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    @contextmanager
    def staging(self, part: str) -> Iterator[Path]:
        """An empty folder to put a part together in; removed in the end, as are those of runs that were killed.

        Only for the holder of the part's lock.
        """
        base = self.root / "staging"
        base.mkdir(parents=True, exist_ok=True)
        for left in base.glob(f"{part}.*"):
            shutil.rmtree(left)
        folder = Path(tempfile.mkdtemp(prefix=f"{part}.", dir=base))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def install(self, staged: Path, home: Path, receipt: Receipt) -> None:
        """Makes a staged folder the part, by one rename. A damaged earlier copy goes first."""
        (staged / RECEIPT).write_text(json.dumps(asdict(receipt), indent=1))
        self.place(staged, home)

    def place(self, staged: Path, home: Path) -> None:
        """The rename. What is there already goes first. Only for the holder of a lock."""
        staged.chmod(0o755)
        home.parent.mkdir(parents=True, exist_ok=True)
        if home.exists():
            shutil.rmtree(home)
        staged.rename(home)

    def free_bytes(self) -> int:
        """Free space where the cache is, or will be."""
        return shutil.disk_usage(existing(self.root)).free


def existing(path: Path) -> Path:
    """The path, or its closest parent that exists."""
    return next(folder for folder in (path, *path.parents) if folder.exists())


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of every file below a folder."""
    files: Iterable[Path] = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.stat().st_size for path in sorted(files)}
