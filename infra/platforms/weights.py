"""Which folder of the model store a source of the local platform means, and how a folder gets into the store."""

import hashlib
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from infra.places import store_root
from infra.settings import Settings, SettingsError, Source
from serving import store


def stage(settings: Settings, report: Callable[[str], None]) -> None:
    """Takes the folders that a stack file names (`file:///folder`) into the store. Raises SettingsError."""
    problems = []
    for path, source in sources(settings):
        if source.scheme == "file":
            try:
                store.stage(Path(source.name), store_root(), name=_name(source), report=report)
            except (store.StoreError, OSError) as error:
                problems.append(settings.problem(path, str(error)))
    if problems:
        raise SettingsError(problems)


def find(settings: Settings) -> dict[str, Path]:
    """Folder in the store of every source that the settings name. Raises SettingsError with all that are not there."""
    folders, problems = {}, []
    for path, source in sources(settings):
        try:
            folders[str(source)] = store.resolve(store_root(), _reference(source)).path
        except store.StoreError as error:
            problems.append(settings.problem(path, str(error)))
    if problems:
        raise SettingsError(problems)
    return folders


def pinned(settings: Settings) -> dict[str, str]:
    """Every source that the settings name, with its version: a kit model without one means the one of this release.

    Raises SettingsError with all that are not there.
    """
    found, problems = {}, []
    for path, source in sources(settings):
        found[str(source)] = str(source)
        if source.scheme == "store" and source.revision is None:
            try:
                version = store.resolve(store_root(), source.name).manifest.version
                found[str(source)] = f"{source}@{version}"
            except store.StoreError as error:
                problems.append(settings.problem(path, str(error)))
    if problems:
        raise SettingsError(problems)
    return found


def sources(settings: Settings) -> Iterable[tuple[tuple[str, ...], Source]]:
    """Every source with its place in the stack file, those of canaries and shadows included."""
    for name, model in settings.models.items():
        yield ("models", name, "source"), model.source
        for revision, found in (("canary", model.canary), ("shadow", model.shadow)):
            if found is not None:
                yield ("models", name, revision, "source"), found.source


def _reference(source: Source) -> str:
    if source.scheme == "file":
        return _name(source)
    return f"{source.name}@{source.revision}" if source.revision else source.name


def _name(source: Source) -> str:
    """A name in the store for a folder; two folders never share one."""
    slug = re.sub(r"[^a-z0-9]+", "-", Path(source.name).name.lower()).strip("-") or "folder"
    return f"{slug}-{hashlib.sha256(source.name.encode()).hexdigest()[:8]}"
