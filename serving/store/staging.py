"""Bringing a model into the store: convert, hash, and move into place in one step."""

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from serving.engines.base import Task, suggestion
from serving.store.convert import RECIPES, Recipe
from serving.store.errors import StoreError
from serving.store.folder import Version, finished, make_current
from serving.store.manifest import Manifest, combined, files_in, hashed, verify

_WEIGHTS = "model.safetensors"
_REQUIRED = ("config.json", "tokenizer.json", _WEIGHTS)
_KEPT = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "sentence_bert_config.json",
    "1_Pooling/config.json",
    "LICENSE",
)
"""What a version keeps of its source besides the weights: what serving reads, and the conditions of use. Not README.md:
an edited sentence would be a new version, and so an update of every replica."""


def stage(source: Path, root: Path, *, name: str | None = None, report: Callable[[str], None] | None = None) -> Version:
    """Convert the model in the folder `source` and put it under `root`; the version that is now current.

    `name` defaults to the folder's name. Staging what is staged already costs only the hashing; a damaged version is
    replaced. Two that stage at once wait for each other; a reader sees a whole version or none, also after a crash.
    `report` is called with a line when something noteworthy happens. Raises StoreError.
    """
    name = name or source.resolve().name
    config = _config(source)
    recipe = _recipe(source, config)
    kept = {path: source / path for path in (*_KEPT, _WEIGHTS) if (source / path).is_file()}
    key = combined({path: hashed(file) for path, file in kept.items()}, salt=recipe.fingerprint)
    root.mkdir(parents=True, exist_ok=True)
    with _locked(root):
        staged = _staged(root, name, key, report)
        if staged is not None:
            make_current(root, staged)
            return staged
        _check_room(root, source)
        with _workshop(root) as built:
            for path, file in kept.items():
                if path != _WEIGHTS:
                    (built / path).parent.mkdir(exist_ok=True)
                    shutil.copyfile(file, built / path)
            recipe.build(source, config, built)
            version = _finish(built, root, name, key, config, recipe)
        make_current(root, version)
        return version


def _staged(root: Path, name: str, key: str, report: Callable[[str], None] | None) -> Version | None:
    """The intact version of this source; damaged ones that stand in its way are removed."""
    for folder in finished(root / name):
        try:
            manifest = Manifest.read(folder)
            if manifest.source == key:
                return Version(verify(folder), folder)
        except StoreError as error:
            if report:
                report(f"replacing a damaged version: {error}")
            _remove(root, folder)
    return None


def _finish(built: Path, root: Path, name: str, key: str, config: dict[str, Any], recipe: Recipe) -> Version:
    files = {path: hashed(file) for path, file in files_in(built).items()}
    manifest = Manifest(
        name=name,
        version=combined(files)[:12],
        family=str(config["model_type"]),
        task=Task(recipe.task),
        context_tokens=recipe.context_tokens(built, config),
        source=key,
        files=files,
    )
    for file in files_in(built).values():
        _flush(file)
    manifest.write(built)
    for path in (built / "manifest.json", built):
        _flush(path)
    target = root / name / manifest.version
    target.parent.mkdir(exist_ok=True)
    if target.exists():  # the same files from another source or recipe: only the manifest differs
        _remove(root, target)
    built.rename(target)
    _flush(target.parent)
    return Version(manifest, target)


def _config(source: Path) -> dict[str, Any]:
    missing = [path for path in _REQUIRED if not (source / path).is_file()]
    if missing:
        raise StoreError(f"{source} is not a model folder: it lacks {', '.join(missing)}")
    try:
        config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise StoreError(f"{source}/config.json is not JSON: {error}") from error
    if not isinstance(config, dict) or "model_type" not in config:
        raise StoreError(f"{source}/config.json has no model_type; it must be one of {', '.join(sorted(RECIPES))}")
    return config


def _recipe(source: Path, config: dict[str, Any]) -> Recipe:
    family = str(config["model_type"])
    if family not in RECIPES:
        raise StoreError(
            f"{source}/config.json: model_type {family!r} cannot be converted{suggestion(family, RECIPES)}"
        )
    return RECIPES[family]


def _check_room(root: Path, source: Path) -> None:
    # Weights grow from fp16 to fp32, and the folder is built before an old version may go.
    needed = 2 * (source / _WEIGHTS).stat().st_size + 2**20
    free = shutil.disk_usage(root).free
    if free < needed:
        raise StoreError(
            f"staging {source.name} needs {needed / 1e6:.0f} MB under {root}, and {free / 1e6:.0f} MB are free; "
            "free some, or put the store on another disk"
        )


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    with (root / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in root.glob(".staging-*"):  # of a staging that was killed: no one else is at work now
            shutil.rmtree(left)
        yield


@contextmanager
def _workshop(root: Path) -> Iterator[Path]:
    """A folder on the same disk, so that moving it is one step."""
    folder = Path(tempfile.mkdtemp(prefix=".staging-", dir=root))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove(root: Path, folder: Path) -> None:
    """Out of sight in one step, then away."""
    with _workshop(root) as bin_:
        folder.rename(bin_ / folder.name)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
