"""Downloads over http(s) and file URLs that go on where they stopped."""

import http.client
import json
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO, Any

from infra.toolchain.errors import WayError
from infra.toolchain.progress import Progress

# A site that does not answer is given up quickly, as there may be another way; one that answers may be slow.
CONNECT_SECONDS = 5.0
READ_SECONDS = 60.0
# Connections that break while data flows are taken up again this often.
RESUMES = 5
LISTING_BYTES = 4 << 20
_CHUNK = 1 << 20


def fetch(url: str, to: Path, progress: Progress) -> None:
    """Downloads `url` to `to`, whole or not at all. What an earlier run left in `<to>.part` is used when it still fits.

    Raises WayError when the site cannot be reached or does not have the file; OSError when the disk refuses.
    """
    to.parent.mkdir(parents=True, exist_ok=True)
    partial = _Partial(to.with_name(to.name + ".part"), to.with_name(to.name + ".from"), url)
    for _ in range(RESUMES):
        if _stream(url, partial, progress):
            partial.data.replace(to)
            partial.note.unlink(missing_ok=True)
            return
        progress.say(f"the connection to {_host(url)} broke off at {_megabytes(partial.size())}; going on")
    raise WayError(
        f"the download from {_host(url)} keeps breaking off", "run it again later; it goes on where it stopped"
    )


def text(url: str) -> str:
    """A small text such as a list of checksums. Raises WayError like `fetch`."""
    with _open(url, {}) as response:
        try:
            return str(response.read(LISTING_BYTES), "utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            raise WayError(f"the connection to {_host(url)} broke off ({error})") from error


class _BrokenError(Exception):
    """The connection ended before the file did."""


@dataclass(frozen=True, slots=True)
class _Partial:
    """Data so far, and a note that says of which version of which file they are."""

    data: Path
    note: Path
    url: str

    def size(self) -> int:
        return self.data.stat().st_size if self.data.is_file() else 0

    def resumable(self) -> tuple[str, int | None]:
        """Validator (ETag or date) and whole length of the file that the data began; no validator: start again."""
        try:
            note = json.loads(self.note.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return "", None
        return (note["validator"], note["length"]) if note.get("url") == self.url else ("", None)

    def begin(self, headers: Message) -> int | None:
        """A download from the start: notes how the server names this version of the file. Returns the length."""
        etag = headers.get("ETag") or ""
        # A weak ETag does not promise the same bytes, so it cannot vouch for a rest.
        validator = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified") or ""
        length = int(headers["Content-Length"]) if headers.get("Content-Length") else None
        self.data.unlink(missing_ok=True)
        self.note.write_text(json.dumps({"url": self.url, "validator": validator, "length": length}))
        return length


def _stream(url: str, partial: _Partial, progress: Progress) -> bool:
    """One connection's worth of data; whether the file is complete now."""
    have = partial.size()
    validator, length = partial.resumable() if have else ("", None)
    if validator and have == length:
        return True
    headers = {"Range": f"bytes={have}-", "If-Range": validator} if validator else {}
    with _open(url, headers) as response:
        if getattr(response, "status", None) != http.HTTPStatus.PARTIAL_CONTENT:
            have, length = 0, partial.begin(response.headers)
        with partial.data.open("ab") as file:
            try:
                _copy(response, file, have, length, progress, _host(url))
            except _BrokenError:
                return False
    return length is None or partial.size() == length


def _copy(response: Any, file: IO[bytes], have: int, length: int | None, progress: Progress, host: str) -> None:
    started = time.monotonic()
    done = have
    while chunk := _read(response):
        file.write(chunk)
        done += len(chunk)
        rate = (done - have) / max(time.monotonic() - started, 0.001)
        share = f" of {_megabytes(length)}" if length else ""
        progress.tick(f"{host}: {_megabytes(done)}{share}, {_megabytes(rate)}/s")


def _read(response: Any) -> bytes:
    try:
        return bytes(response.read(_CHUNK))
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenError from error


@contextmanager
def _open(url: str, headers: dict[str, str]) -> Iterator[Any]:
    """A response. Raises WayError when there is none worth reading."""
    request = urllib.request.Request(url, headers={"User-Agent": "berth-toolchain", **headers})  # noqa: S310 - URLs of the lock file
    opener = urllib.request.build_opener(_PatientHTTP, _PatientHTTPS, _NoDowngrade)
    try:
        response = opener.open(request, timeout=CONNECT_SECONDS)
    except urllib.error.HTTPError as error:
        with error:
            raise WayError(f"{_host(url)} answers {error.code} {error.reason} for {url}") from error
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise WayError(f"{_host(url)} cannot be reached ({reason})", f"let this machine reach {_host(url)}") from error
    with response:
        yield response


class _PatientHTTPConnection(http.client.HTTPConnection):
    """Connecting must be quick; data may take their time."""

    def connect(self) -> None:
        super().connect()
        _patient(self.sock)


class _PatientHTTPSConnection(http.client.HTTPSConnection):
    """As for http."""

    def connect(self) -> None:
        super().connect()
        _patient(self.sock)


def _patient(connection: socket.socket) -> None:
    connection.settimeout(READ_SECONDS)


class _PatientHTTP(urllib.request.HTTPHandler):
    """http with those timeouts."""

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_PatientHTTPConnection, req)


class _PatientHTTPS(urllib.request.HTTPSHandler):
    """https with those timeouts."""

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_PatientHTTPSConnection, req)


class _NoDowngrade(urllib.request.HTTPRedirectHandler):
    """A list of checksums is worth as much as the connection it came over."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise WayError(f"{_host(req.full_url)} redirects to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def _host(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    return parts.netloc or parts.path


def _megabytes(size: float) -> str:
    return f"{size / 1e6:.1f} MB"
