"""The environment in which the Pulumi engine runs."""

import hashlib
import os
import shutil
import sys
from pathlib import Path

from infra.toolchain.cache import Cache
from infra.toolchain.progress import Progress
from infra.toolchain.toolchain import HOSTS, Toolchain

PYTHON_VARIABLE = "BERTH_HOST_PYTHON"
HOST_PROGRAMS = ("pulumi-language-python", "pulumi-resource-pulumi-python", "pulumi-analyzer-policy-python")


def engine_env(toolchain: Toolchain | None = None) -> dict[str, str]:
    """The variables to lay over one's own environment so that `pulumi` is the pinned engine, which is got if missing.

    An engine that the machine has already, and an official release, bring their own Python host and fetch their
    plugins themselves. A source-built engine has neither: the small host of this kit is put beside it, and it is told
    not to look for plugins on a network that could not even give the engine.
    """
    toolchain = toolchain or Toolchain()
    engine = toolchain.get("pulumi")
    values = {"PULUMI_SKIP_UPDATE_CHECK": "1"}
    if engine.way == "path":
        return values
    folder = engine.path.parent
    if engine.way == "go":
        folder = _beside_hosts(engine.path, toolchain.cache, toolchain.progress)
        values["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] = "1"
        values[PYTHON_VARIABLE] = sys.executable
    # Earlier folders of this kind go: a shell that took these variables may ask again.
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    rest = [entry for entry in path if not Path(entry).is_relative_to(toolchain.cache.root)]
    return {**values, "PATH": os.pathsep.join([str(folder), *rest])}


def _beside_hosts(engine: Path, cache: Cache, progress: Progress) -> Path:
    """A folder with the engine and this checkout's hosts.

    The engine looks there for the hosts that belong to it; found anywhere else on PATH, it warns of them at every run.
    """
    key = hashlib.sha256(f"{engine} {HOSTS}".encode()).hexdigest()[:12]
    folder = cache.root / "engines" / key
    if _complete(folder):
        return folder
    with cache.locked("engine", progress), cache.staging("engine") as staged:
        if not _complete(folder):
            # It is 115 MB: a second name costs nothing. Links do not reach across file systems, nor exist on all.
            try:
                (staged / "pulumi").hardlink_to(engine)
            except OSError:
                shutil.copy2(engine, staged / "pulumi")
            for name in HOST_PROGRAMS:
                (staged / name).symlink_to(HOSTS / name)
            cache.place(staged, folder)
    return folder


def _complete(folder: Path) -> bool:
    return all((folder / name).exists() for name in ("pulumi", *HOST_PROGRAMS))
