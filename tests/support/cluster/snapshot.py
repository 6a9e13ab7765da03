"""Storage with definitions of custom resources in it, made once a machine: 44 cost the API server 15 s of CPU.

A new cluster starts from a copy. What makes it is in its name, so that other programs or definitions make another one.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from infra import toolchain
from infra.toolchain.cache import Cache, default_root
from infra.toolchain.progress import Progress
from tests.support.cluster import crds, servers
from tests.support.cluster.apiserver import ApiServer

_NAME = "test-cluster"
_FORM = "1"
"""Raised when this module makes them differently."""


def ensure(programs: servers.Programs, parts: Sequence[str]) -> Path | None:
    """The folder to copy; None for no definitions."""
    if not parts:
        return None
    cache = Cache(default_root())
    sources = [_FORM, str(programs.etcd), str(programs.apiserver), *(str(toolchain.ensure(part)) for part in parts)]
    home = cache.root / "test-clusters" / hashlib.sha256(repr(sources).encode()).hexdigest()[:12]
    if home.exists():
        return home
    progress = Progress()
    with cache.locked(_NAME, progress), cache.staging(_NAME) as staged:
        # Another run may have made it while this one waited.
        if not home.exists():
            progress.say(f"definitions of {', '.join(parts)} for the tests' clusters, once on this machine")
            cache.place(_make(staged, programs, parts), home)
    return home


def _make(folder: Path, programs: servers.Programs, parts: Sequence[str]) -> Path:
    server = ApiServer(folder, programs, {})
    server.prepare()
    try:
        server.start_storage()
        server.start()
        names = crds.install(server.api, crds.load(parts))
        server.processes.wait("served definitions", lambda: crds.established(server.api, names), seconds=300)
    finally:
        server.stop()
    return server.storage
