"""Finding a part, and getting it where it is missing."""

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from infra.toolchain import machine, parts, version
from infra.toolchain.cache import Cache, Receipt, default_root, sizes
from infra.toolchain.errors import ToolchainError, WayError
from infra.toolchain.parts import Part
from infra.toolchain.progress import Progress, duration
from infra.toolchain.version import Range
from infra.toolchain.ways import Bench, Notebook, OnPath, Way, outside

ROOT = Path(__file__).resolve().parents[2]
HOSTS = Path(__file__).with_name("language_host")
# What a disk, a quota or the owner of a folder say when they do not want more files.
_REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)


@dataclass(frozen=True, slots=True)
class Found:
    """A program (or folder of data) that can be used as it is."""

    name: str
    path: Path
    version: str
    way: str
    """Kind of the way: `path` for what was there already, else `release`, `wheel`, `deb`, `go`, `crate`."""
    origin: str
    """The way in words."""
    checked: str
    """What its bytes were checked against, in words."""


@dataclass(frozen=True, slots=True)
class Missing:
    """What is not there yet, and how it can be had."""

    name: str
    version: str
    ways: tuple[str, ...]
    """Ways that may work on this machine, in the order in which `ensure` tries them."""
    blocked: tuple[str, ...]
    """Ways that cannot, with the reason."""
    advice: tuple[str, ...]
    """What a person can do."""


@dataclass(frozen=True, slots=True)
class Toolchain:
    """The parts of one lock file, in one cache folder."""

    lock: Path = parts.LOCK_FILE
    cache: Cache = field(default_factory=lambda: Cache(default_root()))
    progress: Progress = field(default_factory=Progress)
    root: Path = ROOT
    """Checkout that parts of our own are built from."""

    def parts(self) -> dict[str, Part]:
        """By name."""
        return parts.load(self.lock)

    def names(self) -> list[str]:
        """Everything that can be asked for."""
        return [name for part in self.parts().values() for name in part.provides]

    def find(self, name: str) -> Found | Missing:
        """Looks on PATH and into the cache; nothing is fetched. Raises ToolchainError for a name that no part has."""
        part = self._owner(name)
        reasons: list[str] = []
        return self._look(part, name, reasons.append) or self._missing(part, name, reasons)

    def ensure(self, name: str) -> Path:
        """The path of a program or folder, like `get`."""
        return self.get(name).path

    def get(self, name: str) -> Found:
        """A part, which is fetched or built when it is missing.

        Raises ToolchainError when no way works; it says of each why, and what a person can do.
        """
        part = self._owner(name)
        found = self._look(part, name, lambda _: None)
        if found is not None:
            return found
        with self._usable_cache(), self.cache.locked(part.name, self.progress):
            reasons: list[str] = []
            # Another run may have got it while this one waited.
            return self._look(part, name, reasons.append) or self._obtain(part, name, reasons)

    def _owner(self, name: str) -> Part:
        known = self.parts()
        for part in known.values():
            if name in part.provides:
                return part
        raise ToolchainError(f"there is no part {name}; there are {', '.join(self.names())}")

    def _look(self, part: Part, name: str, tell: Callable[[str], None]) -> Found | None:
        if part.on_path is not None:
            path = outside(os.environ.get("PATH", os.defpath), (self.cache.root, HOSTS))
            notebook = Notebook(self.cache.root / "versions.json")
            try:
                there = part.on_path.look(tuple(part.provides), part.reports, path, notebook)
            except WayError as error:
                tell(error.reason)
            else:
                program, have = there[name]
                return Found(name, program, have, OnPath.kind, "on PATH", "chosen by the owner of this machine")
        for way in part.ways:
            home = self._home(part, way)
            receipt = self.cache.receipt(home)
            if receipt is not None:
                return _found(part, name, home, receipt)
        return None

    def _obtain(self, part: Part, name: str, reasons: list[str]) -> Found:
        remedies: list[str] = []
        for way in part.ways:
            self.progress.say(f"{part.title}: {way.summary()}, usually {way.costs.usually}")
            try:
                way.require(machine.kind())
                self._check_room(way)
                home, receipt = self._take(part, way)
            except WayError as error:
                self.progress.say(f"{part.title}: {error.reason}")
                reasons.append(f"{way.summary()}: {error.reason}")
                remedies.append(error.remedy)
            else:
                took = duration(receipt.seconds)
                self.progress.say(f"{part.name} {receipt.version} is there ({took}); checked: {receipt.checked}")
                return _found(part, name, home, receipt)
        raise ToolchainError(
            f"{part.title} ({part.what}) could not be had.\n"
            + _list("Tried", reasons)
            + _list("Ways out", [*filter(None, remedies), *part.advice])
        )

    def _take(self, part: Part, way: Way) -> tuple[Path, Receipt]:
        started = time.monotonic()
        bench = self._bench(part, way)
        home = self._home(part, way)
        with self.cache.staging(part.name) as staged:
            way.take(bench, staged)
            if self._home(part, way) != home:
                raise WayError("its sources changed while it was built", "run it again")
            receipt = Receipt(
                version=_check(part, way, staged, bench.version),
                way=way.kind,
                origin=way.summary(),
                checked=way.checked(bench.machine),
                sizes=sizes(staged),
                seconds=round(time.monotonic() - started, 1),
            )
            self.cache.install(staged, home, receipt)
        shutil.rmtree(bench.downloads, ignore_errors=True)
        return home, receipt

    def _check_room(self, way: Way) -> None:
        free = self.cache.free_bytes() // 1_000_000
        if free < way.costs.disk_mb:
            raise WayError(
                f"needs {way.costs.disk_mb} MB of disk, {self.cache.root} has {free} MB left",
                f"free some space, or set BERTH_CACHE to a folder with {way.costs.disk_mb} MB",
            )

    def _bench(self, part: Part, way: Way) -> Bench:
        root = self.cache.root
        return Bench(
            part=part.name,
            version=way.version or part.version,
            machine=machine.kind(),
            root=self.root,
            lock=self.lock.parent,
            downloads=root / "downloads" / part.name,
            work=root / "work" / part.name,
            log=root / "logs" / f"{part.name}.log",
            progress=self.progress,
        )

    def _home(self, part: Part, way: Way) -> Path:
        bench = self._bench(part, way)
        recipe = repr((way.kind, sorted(part.provides.items()), way.recipe(bench)))
        return self.cache.home(part.name, bench.version, hashlib.sha256(recipe.encode()).hexdigest()[:12])

    def _missing(self, part: Part, name: str, reasons: Iterable[str]) -> Missing:
        open_ways: list[str] = []
        blocked = list(reasons)
        for way in part.ways:
            try:
                way.require(machine.kind())
            except WayError as error:
                blocked.append(f"{way.summary()}: {error.reason}")
            else:
                open_ways.append(f"{way.summary()} ({way.checked(machine.kind())}), usually {way.costs.usually}")
        return Missing(name, part.version, tuple(open_ways), tuple(blocked), part.advice)

    @contextmanager
    def _usable_cache(self) -> Iterator[None]:
        """What the disk refuses is said in words."""
        try:
            yield
        except OSError as error:
            if error.errno not in _REFUSALS:
                raise
            raise ToolchainError(
                f"the cache {self.cache.root} cannot be written: {error.strerror}.\n"
                "Free some space there, or set BERTH_CACHE to a folder of yours on a disk with room."
            ) from error


def _found(part: Part, name: str, home: Path, receipt: Receipt) -> Found:
    path = home / part.provides[name]
    return Found(name, path, receipt.version, receipt.way, receipt.origin, receipt.checked)


def _check(part: Part, way: Way, staged: Path, wanted: str) -> str:
    """Runs what was got, if it is a program: it must start here and be the version it was taken for."""
    for name, place in part.provides.items():
        if not (staged / place).exists():
            raise WayError(f"it does not hold {name} ({place})")
    if not part.reports:
        return wanted
    accepts = way.accepts or Range(f"=={wanted}")
    reported = [version.report(staged / place, part.reports) for place in part.provides.values()]
    for have in reported:
        if not accepts.allows(have):
            raise WayError(f"it is {have}, wanted {accepts.text}")
    return reported[0]


def _list(title: str, lines: Iterable[str]) -> str:
    return f"{title}:\n" + "".join(f"  - {line}\n" for line in lines)
