"""A stand-in for the Hugging Face hub: the listing of a commit, files of git and of LFS, a second host for large ones.

It answers what huggingface_hub asks while it downloads a commit, as the hub does: hashes in the listing, ETags,
`X-Repo-Commit`, `X-Linked-Etag` and `X-Linked-Size`, a redirect to another host for LFS files, ranges, 401 and 403 with
`X-Error-Code`. It knows no Xet storage, branches, uploads, compression, rate limits or TLS.
"""

import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

LFS_SUFFIXES = (".safetensors", ".bin", ".model")


class FakeHub:
    """One model at one commit. Mistakes are switched on by the fields."""

    def __init__(self, name: str, commit: str, files: Mapping[str, bytes]) -> None:
        self.name, self.commit = name, commit
        self.files = dict(files)
        self.token = ""
        """Needed for everything when it is set."""
        self.gated = ""
        """Needed for files, not for the listing, as with models behind a licence."""
        self.corrupt: Counter[str] = Counter()
        """How many more times a file is sent with a byte changed."""
        self.cut: Counter[str] = Counter()
        """How many more times a transfer of a file breaks halfway."""
        self.held: set[str] = set()
        """Files whose transfer stops halfway and waits for `release`."""
        self.release = threading.Event()
        self.sent: Counter[str] = Counter()
        """Transfers of each file."""
        self.at_cdn: list[Mapping[str, str]] = []
        """Headers that the second host got."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def source(self) -> str:
        """As a stack file names it."""
        return f"hf://{self.name}@{self.commit}"

    def stop(self) -> None:
        """Answers no more."""
        self.release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def listing(self) -> dict[str, Any]:
        """What the API says of the commit."""
        siblings = []
        for path, content in self.files.items():
            entry: dict[str, Any] = {"rfilename": path, "size": len(content), "blobId": git_hash(content)}
            if path.endswith(LFS_SUFFIXES):
                entry["lfs"] = {"size": len(content), "sha256": sha256(content), "pointerSize": 130}
            siblings.append(entry)
        return {"id": self.name, "modelId": self.name, "sha": self.commit, "siblings": siblings}


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path.startswith("/cdn/"):
            self._cdn(path.removeprefix("/cdn/"))
        elif found := re.fullmatch(r"/api/models/(.+)/revision/([^/]+)", path):
            self._api(*found.groups())
        elif found := re.fullmatch(r"/(.+?)/resolve/([^/]+)/(.+)", path):
            self._resolve(*found.groups())
        else:
            self._refuse(404, "RepoNotFound")

    def do_HEAD(self) -> None:
        self.do_GET()

    def _api(self, name: str, commit: str) -> None:
        if self._denied(self.hub.token, 401, "RepoNotFound") or self._unknown(name, commit):
            return
        self._answer(200, json.dumps(self.hub.listing()).encode(), {"Content-Type": "application/json"})

    def _resolve(self, name: str, commit: str, path: str) -> None:
        if self._denied(self.hub.token, 401, "RepoNotFound") or self._unknown(name, commit):
            return
        if self._denied(self.hub.gated, 403, "GatedRepo"):
            return
        content = self.hub.files.get(path)
        if content is None:
            self._refuse(404, "EntryNotFound")
            return
        headers = {"X-Repo-Commit": self.hub.commit, "ETag": f'"{git_hash(content)}"'}
        if not path.endswith(LFS_SUFFIXES):
            self._send(path, content, headers)
            return
        linked = {"X-Linked-Etag": f'"{sha256(content)}"', "X-Linked-Size": str(len(content))}
        where = {"Location": f"http://localhost:{self.hub.port}/cdn/{path}?Signature=signed-secret"}
        self._answer(302, b"", {**headers, **linked, **where})

    def _cdn(self, path: str) -> None:
        self.hub.at_cdn.append(dict(self.headers.items()))
        self._send(path, self.hub.files[path], {"ETag": f'"{sha256(self.hub.files[path])}"'})

    def _send(self, path: str, content: bytes, headers: dict[str, str]) -> None:
        if self.command == "HEAD":
            self._answer(200, content, headers)
            return
        self.hub.sent[path] += 1
        if self.hub.corrupt[path] > 0:
            self.hub.corrupt[path] -= 1
            content = bytes([content[0] ^ 1]) + content[1:]
        start, status = 0, 200
        if ranged := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
            start, status = int(ranged[1]), 206
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        rest = content[start:]
        if self.hub.cut[path] > 0:
            self.hub.cut[path] -= 1
            self._answer(status, rest, headers, upto=len(rest) // 2)
            self.close_connection = True
        elif path in self.hub.held:
            self._answer(status, rest, headers, upto=len(rest) // 2)
            self.hub.release.wait(60)
            self.close_connection = True
        else:
            self._answer(status, rest, headers)

    def _denied(self, token: str, status: int, code: str) -> bool:
        if not token or self.headers.get("Authorization") == f"Bearer {token}":
            return False
        self._refuse(status, code)
        return True

    def _unknown(self, name: str, commit: str) -> bool:
        if name != self.hub.name:
            self._refuse(404, "RepoNotFound")
        elif commit != self.hub.commit:
            self._refuse(404, "RevisionNotFound")
        return (name, commit) != (self.hub.name, self.hub.commit)

    def _refuse(self, status: int, code: str) -> None:
        self._answer(status, b'{"error": "no"}', {"X-Error-Code": code, "X-Error-Message": "no"})

    def _answer(self, status: int, content: bytes, headers: Mapping[str, str], upto: int | None = None) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        try:
            self.wfile.write(content if upto is None else content[:upto])
            self.wfile.flush()
        except OSError:
            self.close_connection = True

    def log_message(self, *arguments: Any) -> None:
        """Keeps quiet."""


def sha256(content: bytes) -> str:
    """As LFS names a file."""
    return hashlib.sha256(content).hexdigest()


def git_hash(content: bytes) -> str:
    """As git names one."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
