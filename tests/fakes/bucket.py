"""A stand-in for S3: one bucket, listed in pages, its objects read by ranges.

It answers what boto3 asks while it lists and reads: ListObjectsV2, HeadObject (with a part's number, with checksums)
and GetObject with `Range` and `If-Match`. ETags are those of single uploads, or of uploads in parts of `part_bytes`. It
knows no writing, versions, regions, TLS, and takes any signature.
"""

import base64
import hashlib
import re
import threading
from collections import Counter
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

_PAGE = 3
_XML = '<?xml version="1.0" encoding="UTF-8"?>'


class FakeBucket:
    """Objects by key. Mistakes are switched on by the fields."""

    def __init__(self, name: str, objects: Mapping[str, bytes]) -> None:
        self.name, self.objects = name, dict(objects)
        self.part_bytes: dict[str, int] = {}
        """Objects that were uploaded in parts of a size."""
        self.with_sha256: set[str] = set()
        """Objects whose SHA-256 the bucket keeps."""
        self.encrypted: set[str] = set()
        """Objects under a key of their own: ETags are no hashes."""
        self.denied = False
        self.corrupt: Counter[str] = Counter()
        """How many more times an object is sent with a byte changed."""
        self.cut: Counter[str] = Counter()
        """How many more times a transfer of an object breaks halfway."""
        self.ranges: list[tuple[str, str]] = []
        """Key and `Range` of each transfer."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"bucket": self}))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Answers no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def etag(self, key: str) -> str:
        """As S3 computes it."""
        content = self.objects[key]
        if key in self.encrypted:
            return _md5(b"encrypted " + content).hex()
        size = self.part_bytes.get(key)
        if size is None:
            return _md5(content).hex()
        parts = [_md5(content[at : at + size]) for at in range(0, len(content), size)]
        return f"{_md5(b''.join(parts)).hex()}-{len(parts)}"


class _Handler(BaseHTTPRequestHandler):
    bucket: FakeBucket
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        name, _, key = unquote(url.path).lstrip("/").partition("/")
        if self.bucket.denied:
            self._refuse(403, "AccessDenied")
        elif name != self.bucket.name:
            self._refuse(404, "NoSuchBucket")
        elif not key:
            self._list(query)
        elif key not in self.bucket.objects:
            self._refuse(404, "NoSuchKey")
        else:
            self._object(key, query)

    def do_HEAD(self) -> None:
        self.do_GET()

    def _list(self, query: Mapping[str, str]) -> None:
        keys = sorted(key for key in self.bucket.objects if key.startswith(query["prefix"]))
        start = int(query.get("continuation-token", "0"))
        page, more = keys[start : start + _PAGE], len(keys) > start + _PAGE
        items = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self.bucket.objects[key])}</Size>"
            f"<ETag>&quot;{self.bucket.etag(key)}&quot;</ETag></Contents>"
            for key in page
        )
        token = f"<NextContinuationToken>{start + _PAGE}</NextContinuationToken>" if more else ""
        body = (
            f"{_XML}<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{token}{items}</ListBucketResult>"
        )
        self._answer(200, body.encode(), {"Content-Type": "application/xml"})

    def _object(self, key: str, query: Mapping[str, str]) -> None:
        content, etag = self.bucket.objects[key], self.bucket.etag(key)
        if self.headers.get("If-Match", f'"{etag}"').strip('"') != etag:
            self._refuse(412, "PreconditionFailed")
            return
        headers = {"ETag": f'"{etag}"', "x-amz-server-side-encryption": "AES256"}
        if key in self.bucket.encrypted:
            headers["x-amz-server-side-encryption"] = "aws:kms"
        if key in self.bucket.with_sha256 and self.headers.get("x-amz-checksum-mode") == "ENABLED":
            digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
            headers |= {"x-amz-checksum-sha256": digest, "x-amz-checksum-type": "FULL_OBJECT"}
        if "partNumber" in query:
            content = content[: self.bucket.part_bytes.get(key, len(content))]
        if self.command == "HEAD":
            self._answer(200, content, headers)
            return
        ranged = self.headers.get("Range", "")
        self.bucket.ranges.append((key, ranged))
        if self.bucket.corrupt[key] > 0:
            self.bucket.corrupt[key] -= 1
            content = bytes([content[0] ^ 1]) + content[1:]
        start = int(found[1]) if (found := re.fullmatch(r"bytes=(\d+)-", ranged)) else 0
        if found:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        rest = content[start:]
        broken = self.bucket.cut[key] > 0
        self.bucket.cut[key] -= broken
        self._answer(206 if found else 200, rest, headers, upto=len(rest) // 2 if broken else None)

    def _refuse(self, status: int, code: str) -> None:
        body = f"{_XML}<Error><Code>{code}</Code><Message>no</Message></Error>"
        self._answer(status, body.encode(), {"Content-Type": "application/xml"})

    def _answer(self, status: int, content: bytes, headers: Mapping[str, str], upto: int | None = None) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(content[:upto])
        self.close_connection = self.close_connection or upto is not None

    def log_message(self, *arguments: Any) -> None:
        """Keeps quiet."""


def _md5(content: bytes) -> bytes:
    return hashlib.md5(content, usedforsecurity=False).digest()
