"""Weights on a volume that no server reads any more, and room made of them."""

from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from serving.store.location import KIT_FOLDER
from serving.store.manifest import FILE_NAME
from serving.store.plain.workplace import Workplace, free_bytes, size


def make_room(workplace: Workplace, needed: int, kept: Collection[str], report: Callable[[str], None]) -> None:
    """Removes what is at other locations than `kept` until `needed` bytes fit: what stagings left behind, then
    versions, those staged first before others.
    """
    unused = sorted(_versions(workplace.root, kept), key=_staged_at)
    for folder in [*workplace.left_behind(kept), *unused]:
        if workplace.has_room(needed):
            return
        before = free_bytes(workplace.root)
        workplace.remove(folder)
        gained = size(max(0, free_bytes(workplace.root) - before))
        report(f"removed {folder.relative_to(workplace.root)} to make room, as no server reads it: {gained}")


def _staged_at(folder: Path) -> float:
    try:
        return (folder / FILE_NAME).stat().st_mtime
    except FileNotFoundError:
        return 0.0  # another stager has just removed it


def _versions(root: Path, kept: Collection[str]) -> Iterator[Path]:
    for manifest in root.glob(f"[!.]*/*/*/{FILE_NAME}"):
        location = manifest.parent.relative_to(root)
        # The kit's own are small, and a store of another kind.
        if location.as_posix() not in kept and location.parts[0] != KIT_FOLDER:
            yield manifest.parent
