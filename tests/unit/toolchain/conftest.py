"""A toolchain of the test's own: lock file, cache, and a site on the loopback that can break off, be slow, resume."""

import hashlib
import io
import os
import re
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.toolchain import Toolchain
from infra.toolchain.cache import Cache
from infra.toolchain.progress import Progress

VERSION = "1.2.3"
CHUNK = 64 * 1024


class Site(ThreadingHTTPServer):
    """Serves `files`, with ranges. `cut` breaks a connection off after so many bytes, as often as it has numbers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.cut: list[int] = []
        self.hold_at = 0
        """Where the next answers stop, until `go_on`; 0: nowhere."""
        self.go_on = threading.Event()
        self.asked: list[tuple[str, str]] = []
        """Path and Range header of every request."""

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        wanted = self.headers.get("Range", "")
        self.server.asked.append((self.path, wanted))
        body = self.server.files.get(self.path)
        if body is None:
            self.send_error(404)
            return
        tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        start = re.fullmatch(r"bytes=(\d+)-", wanted)
        resumed = start is not None and self.headers.get("If-Range") == tag
        rest = body[int(start[1]) :] if start is not None and resumed else body
        self.send_response(206 if resumed else 200)
        self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        limit = self.server.cut.pop(0) if self.server.cut else len(rest)
        for at in range(0, min(limit, len(rest)), CHUNK):
            if self.server.hold_at and at >= self.server.hold_at:
                self.server.go_on.wait()
            self.wfile.write(rest[at : min(at + CHUNK, limit)])

    def log_message(self, *args: Any) -> None:
        """Nothing: the test reads `asked`."""


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.go_on.set()
        server.shutdown()
        thread.join()


@dataclass
class Bench:
    """Writes lock files, and runs the toolchain in this process or in one of its own."""

    root: Path
    parts: dict[str, Any] = field(default_factory=dict)
    output: io.StringIO = field(default_factory=io.StringIO)

    @property
    def cache(self) -> Cache:
        return Cache(self.root / "cache")

    @property
    def lock(self) -> Path:
        return self.root / "parts.yaml"

    def part(self, *ways: dict[str, Any], name: str = "tool", **changes: Any) -> "Bench":
        """Adds a part with these ways; a program that answers `--version` unless told otherwise."""
        self.parts[name] = {
            "what": f"the {name} of a test",
            "version": VERSION,
            "provides": {name: f"bin/{name}"},
            "reports": ["--version"],
            "advice": [f"put {name} on PATH"],
            "ways": [dict({"usually": "a moment"}, **way) if way["way"] != "path" else way for way in ways],
            **changes,
        }
        self.lock.write_text(yaml.safe_dump({"parts": self.parts}))
        return self

    @property
    def toolchain(self) -> Toolchain:
        return Toolchain(self.lock, self.cache, Progress(self.output), self.root)

    @property
    def said(self) -> str:
        """Everything the toolchain told a person so far."""
        return self.output.getvalue()

    def process(self, *arguments: str, **variables: str) -> "subprocess.Popen[str]":
        """`python -m infra.toolchain ARGUMENTS`."""
        return subprocess.Popen(
            [sys.executable, "-m", "infra.toolchain", "--parts", str(self.lock), *arguments],
            env={**os.environ, "BERTH_CACHE": str(self.cache.root), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def _script(version: str) -> bytes:
    return f"#!/bin/sh\necho tool version {version}\n".encode()


def _tarball(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, body in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            member.mode = 0o755
            archive.addfile(member, io.BytesIO(body))
    return buffer.getvalue()


@dataclass(frozen=True)
class Vendor:
    """Puts releases of `tool` on a site."""

    site: Site

    def release(self, version: str = VERSION, ballast: int = 0) -> str:
        """Publishes a release that holds `ballast` incompressible bytes besides; its sha256."""
        files = {
            f"tool-{version}/tool": _script(version),
            f"tool-{version}/doc/read.me": b"read me",
            f"tool-{version}/ballast": os.urandom(ballast),
        }
        body = _tarball(files)
        self.site.files["/tool.tar.gz"] = body
        return hashlib.sha256(body).hexdigest()

    def way(self, sha256: str | None = None, **changes: Any) -> dict[str, Any]:
        """The way to it; pinned where a checksum is given, else checked against the vendor's list."""
        machines = ("linux-x86_64", "linux-arm64", "darwin-arm64", "darwin-x86_64")
        check = {"sha256": dict.fromkeys(machines, sha256)} if sha256 else {"checksums": f"{self.site.url}/SUMS"}
        return {
            "way": "release",
            "url": f"{self.site.url}/tool.tar.gz",
            "platforms": {name: name for name in machines},
            "takes": {"tool-{version}/tool": "bin/tool"},
            **check,
            **changes,
        }


@pytest.fixture
def vendor(site: Site) -> Vendor:
    return Vendor(site)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is first on PATH, for programs that the machine is to have already."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def script(folder: Path, name: str, version: str, *more: str) -> Path:
    """A program that reports a version."""
    path = folder / name
    path.write_bytes(_script(version) + "\n".join(more).encode())
    path.chmod(0o755)
    return path


@pytest.fixture
def program(programs: Path) -> Any:
    """Makes a program on PATH: `program(name, version)`."""
    return lambda name, version: script(programs, name, version)
