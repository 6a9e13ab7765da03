"""Taking chosen files out of archives: tar, zip (wheels are zips), or a folder."""

import shutil
import stat
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from infra.toolchain.errors import WayError

PROGRAM = 0o755
PLAIN = 0o644


def unpack(archive: Path, takes: Mapping[str, str], into: Path) -> None:
    """Writes the members that `takes` names below `into`.

    A key that ends in `/` names a folder (all below it is taken), any other key one file; the value is where it goes
    (`.` for `into` itself). Every key must find something, else WayError.
    """
    found: set[str] = set()
    try:
        if zipfile.is_zipfile(archive):
            _unzip(archive, takes, into, found)
        else:
            _untar(archive, takes, into, found)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise WayError(f"{archive.name} cannot be unpacked: {error}") from error
    if absent := sorted(set(takes) - found):
        raise WayError(f"{archive.name} does not hold {', '.join(absent)}")


def move(folder: Path, takes: Mapping[str, str], into: Path) -> None:
    """The same for files below `folder`, which are moved."""
    for source, target in takes.items():
        if not (folder / source).exists():
            raise WayError(f"the package does not hold {source}")
        to = into / target
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(folder / source, to)


def _unzip(archive: Path, takes: Mapping[str, str], into: Path, found: set[str]) -> None:
    with zipfile.ZipFile(archive) as file:
        for member in file.infolist():
            to = _destination(member.filename, takes, into, found)
            if to is None or member.is_dir():
                continue
            with file.open(member) as source, to.open("wb") as target:
                shutil.copyfileobj(source, target)
            to.chmod(PROGRAM if (member.external_attr >> 16) & stat.S_IXUSR else PLAIN)


def _untar(archive: Path, takes: Mapping[str, str], into: Path, found: set[str]) -> None:
    with tarfile.open(archive) as file:
        for member in file:
            to = _destination(member.name, takes, into, found) if member.isfile() else None
            source = file.extractfile(member) if to else None
            if to is None or source is None:
                continue
            with source, to.open("wb") as target:
                shutil.copyfileobj(source, target)
            to.chmod(PROGRAM if member.mode & stat.S_IXUSR else PLAIN)


def _destination(member: str, takes: Mapping[str, str], into: Path, found: set[str]) -> Path | None:
    """Where a member goes; None when nobody asked for it."""
    name = member.removeprefix("./")
    if ".." in PurePosixPath(name).parts or name.startswith("/"):
        raise WayError(f"refusing an archive that would write to {member}")
    for source, target in takes.items():
        if name == source or (source.endswith("/") and name.startswith(source)):
            found.add(source)
            to = into / target / name.removeprefix(source) if source.endswith("/") else into / target
            to.parent.mkdir(parents=True, exist_ok=True)
            return to
    return None
