"""Bringing plain weights into the store: list, check for room, fetch, hash, and move into place in one step."""

import errno
import hashlib
import json
import shutil
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from serving.store.errors import RefusedError, StoreError
from serving.store.location import Bucket, Folder, Hub, KitModel, location, parse
from serving.store.manifest import FILE_NAME
from serving.store.plain import chosen
from serving.store.plain.checksums import hashed, sample
from serving.store.plain.origin import Origin, Remote
from serving.store.plain.record import Record, StoredFile
from serving.store.plain.unused import make_room
from serving.store.plain.verifying import verify_plain
from serving.store.plain.workplace import Workplace, size

_TRANSFERS = 8
Report = Callable[[str], None]


def stage_source(
    source: str,
    root: Path,
    *,
    most_bytes: int | None = None,
    keep: Collection[str] | None = None,
    report: Report | None = None,
) -> Path:
    """Puts the weights of a hub, bucket or folder source under `root`; their folder, `root/location(source)`.

    Staging what is staged costs a quick look; a damaged version is mended; an interrupted one is continued. A reader
    sees a whole version or none. A source of more than `most_bytes` is refused before anything is fetched. Where it
    does not fit on the volume, versions of other sources than those in `keep` are removed; None: nothing is. Raises
    StoreError, RefusedError when trying again is in vain.
    """
    say = report or (lambda _: None)
    workplace = Workplace(root, location(source), say)
    try:
        with workplace.alone():
            return _Staging(source, workplace, most_bytes, keep, say).run()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free = size(shutil.disk_usage(root).free)
            raise StoreError(
                f"{source}: the volume at {root} is full ({free} free); enlarge its claim. "
                "What is there is used when it is staged again"
            ) from None
        raise


class _Staging:
    """One source on its way."""

    def __init__(
        self,
        source: str,
        workplace: Workplace,
        most_bytes: int | None,
        keep: Collection[str] | None,
        report: Report,
    ) -> None:
        self._source, self._workplace = source, workplace
        self._most_bytes, self._keep, self._report = most_bytes, keep, report
        self._done: dict[str, StoredFile] = {}
        self._states: dict[str, str] = {}

    def run(self) -> Path:
        """Until it is there."""
        target = self._workplace.target
        record = self._intact()
        origin = _origin(self._source, self._report)
        if record is not None and not origin.mutable:
            self._report(f"{self._source} is staged: {size(record.bytes)} in {target}")
            return target
        files = origin.files()
        chosen.check(self._source, files)
        if record is not None:
            return self._unchanged(record, origin, files)
        self._workplace.prepare()
        origin.tidy(self._workplace.folder)
        small = chosen.small(files)
        self._fetch(origin, [file for file in small if file.path == chosen.INDEX], len(files))
        weights = chosen.weights(self._source, files, self._index())
        wanted = [*small, *weights]
        self._forget_others(wanted)
        self._check_size(wanted)
        self._fetch(origin, [file for file in wanted if file.path not in self._done], len(wanted))
        shutil.rmtree(self._workplace.folder / ".cache", ignore_errors=True)
        Record(self._source, self._state(), self._done).write(self._workplace.folder)
        self._workplace.publish()
        self._report(f"{self._source}: {size(sum(file.bytes for file in wanted))} are in {target}")
        return target

    def _intact(self) -> Record | None:
        """What is there already; a damaged version is taken back."""
        target = self._workplace.target
        if not target.exists():
            return None
        try:
            return verify_plain(target)
        except StoreError as error:
            self._report(f"mending a damaged version: {error}")
            self._workplace.take_back()
            (self._workplace.folder / FILE_NAME).unlink(missing_ok=True)
            return None

    def _unchanged(self, record: Record, origin: Origin, files: Sequence[Remote]) -> Path:
        """Refuses a source that was written again: servers would load other weights than the ones planned for."""
        there = {file.path: file for file in files}
        now = {path: origin.detailed(there[path]) for path in record.files if path in there}
        for path, file in now.items():
            self._states[path] = file.state
        if self._state() != record.state:
            raise RefusedError(
                f"{self._source} was written again since it was staged in {self._workplace.target}; a folder or prefix "
                "is a version, so publish other weights under another name"
            )
        self._report(f"{self._source} is staged: {size(record.bytes)} in {self._workplace.target}")
        return self._workplace.target

    def _index(self) -> object:
        path = self._workplace.folder / chosen.INDEX
        if chosen.INDEX not in self._done:
            return None
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise RefusedError(f"{self._source}: {chosen.INDEX} is not JSON: {error}") from None

    def _check_size(self, wanted: Sequence[Remote]) -> None:
        total = sum(file.bytes for file in wanted)
        if self._most_bytes is not None and total > self._most_bytes:
            raise RefusedError(
                f"{self._source} has {size(total)}, more than the {size(self._most_bytes)} that the plan and so the "
                "volume allow for; the plan's size of this model is wrong, or the source holds more than the model"
            )
        folder = self._workplace.folder
        missing = sum(file.bytes for file in wanted if not (folder / file.path).exists())
        if self._keep is not None:
            make_room(self._workplace, missing, {location(kept) for kept in (*self._keep, self._source)}, self._report)
        self._workplace.check_room(missing, f"staging {self._source}")

    def _forget_others(self, wanted: Sequence[Remote]) -> None:
        """Removes what is not part of the version: left by a damaged one, or by an older kit."""
        names = {file.path for file in wanted}
        folder = self._workplace.folder
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if not name.startswith(".cache/") and path.is_file() and name not in names:
                path.unlink()

    def _fetch(self, origin: Origin, files: Sequence[Remote], total: int) -> None:
        """Largest first, several at once; the first failure stops what has not begun."""
        largest_first = sorted(files, key=lambda file: -file.bytes)
        with ThreadPoolExecutor(_TRANSFERS) as pool:
            futures = [pool.submit(self._one, origin, file) for file in largest_first]
            try:
                for future in as_completed(futures):
                    file, stored = future.result()
                    self._done[file.path] = stored
                    self._states[file.path] = file.state
                    self._report(f"{len(self._done)} of {total} files: {file.path}, {size(stored.bytes)}")
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _one(self, origin: Origin, file: Remote) -> tuple[Remote, StoredFile]:
        """Fetched and hashed; fetched once more when what was there already, or came, is wrong."""
        file = origin.detailed(file)
        path = self._workplace.folder / file.path
        for _ in range(2):
            origin.fetch(file, self._workplace.folder)
            problem, stored = _compared(file, path)
            if stored is not None:
                return file, stored
            self._report(f"{problem}; fetching it again")
            path.unlink()
        raise StoreError(f"{self._source}: {problem}, twice: damaged at its source or on the way")

    def _state(self) -> str:
        lines = [f"{path}\0{state}\n" for path, state in sorted(self._states.items())]
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def _origin(source: str, report: Report) -> Origin:
    # Imported where they are needed: the clients of hub and buckets take a second, and not every image has them.
    match parse(source):
        case Hub() as hub:
            from serving.store.plain.hub import HubOrigin  # noqa: PLC0415

            return HubOrigin(source, hub, report)
        case Bucket() as bucket:
            from serving.store.plain.bucket import BucketOrigin  # noqa: PLC0415

            return BucketOrigin(source, bucket, report)
        case Folder() as folder:
            from serving.store.plain.local import FolderOrigin  # noqa: PLC0415

            return FolderOrigin(source, folder)
        case KitModel():
            raise StoreError(f"{source} is one of the kit's own models, which are converted")


def _compared(file: Remote, path: Path) -> tuple[str, StoredFile | None]:
    """What is wrong with a file that has come, or what it is."""
    if path.is_symlink():
        return f"{file.path}: expected a file, found a link", None
    found = hashed(path, file.checksum)
    if found.bytes != file.bytes:
        return f"{file.path}: expected {file.bytes} bytes, found {found.bytes}", None
    if file.checksum and found.said != file.checksum.value:
        return f"{file.path}: expected {file.checksum.kind} {file.checksum.value}, found {found.said}", None
    return "", StoredFile(found.bytes, found.sha256, sample(path))
