"""A stand-in for an image registry on 127.0.0.1: manifests by tag, behind the anonymous tokens of the real ones.

It knows the read side of manifests alone: no blobs, no pushes, no catalogue, no TLS, and its tokens never expire.
"""

import hashlib
import json
import secrets
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass
class FakeRegistry:
    """Listens from `start` to `stop`."""

    manifests: dict[tuple[str, str], bytes] = field(default_factory=dict)
    """By repository path and tag."""
    protected: bool = True
    """Whether manifests need a token."""
    lying: bool = False
    """Whether the digest's header is wrong."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Path and Accept header of every request for a manifest that was let in."""
    tokens: dict[str, str] = field(default_factory=dict)
    """By scope."""

    def push(self, repository: str, tag: str, **content: Any) -> str:
        """Puts an index there; its digest."""
        data = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [], **content}).encode()
        self.manifests[repository, tag] = data
        return f"sha256:{hashlib.sha256(data).hexdigest()}"

    @property
    def host(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> "FakeRegistry":
        """Listens."""
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry._answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Closes the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(request.path)
        if parts.path == "/token":
            scope = parse_qs(parts.query)["scope"][0]
            token = self.tokens.setdefault(scope, secrets.token_hex(8))
            return _send(request, 200, json.dumps({"token": token}).encode())
        repository, _, tag = parts.path.removeprefix("/v2/").rpartition("/manifests/")
        scope = f"repository:{repository}:pull"
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.protected and token != self.tokens.get(scope):
            challenge = f'Bearer realm="http://{self.host}/token",service="fake",scope="{scope}"'
            return _send(request, 401, b"{}", **{"www-authenticate": challenge})
        self.asked.append((parts.path, request.headers.get("accept", "")))
        data = self.manifests.get((repository, tag))
        if data is None:
            return _send(request, 404, b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}')
        digest = "0" * 64 if self.lying else hashlib.sha256(data).hexdigest()
        return _send(request, 200, data, **{"content-type": INDEX, "docker-content-digest": f"sha256:{digest}"})


def _send(request: BaseHTTPRequestHandler, status: int, data: bytes, **headers: str) -> None:
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name, value)
    request.send_header("content-length", str(len(data)))
    request.end_headers()
    request.wfile.write(data)
