"""HTTP to an API server: JSON in, JSON out, and streams of JSON lines."""

import http.client
import json
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.support.kubernetes_api.errors import ApiError, UnreachableError
from tests.support.kubernetes_api.kubeconfig import Access

SECONDS = 30.0
"""What an answer may take."""
ATTEMPTS = 10
"""As often as the Go client does what a server wants tried again."""
_BROKEN = (OSError, http.client.HTTPException)


class _LaterError(ApiError):
    """A refusal that is to be tried again after a while."""

    def __init__(self, status: dict[str, Any], seconds: float) -> None:
        super().__init__(status)
        self.seconds = seconds


class Transport:
    """Requests to one server, from any thread. Connections that only read are kept for the next one; see `close`."""

    def __init__(self, access: Access) -> None:
        self._access = access
        place = urlsplit(access.server)
        self._host = place.hostname or ""
        self._port = place.port or 443
        self._prefix = place.path
        self._tls = ssl.create_default_context(cadata=access.ca_pem or None)
        self._idle: list[http.client.HTTPSConnection] = []
        self._lock = threading.Lock()

    def close(self) -> None:
        """Closes the connections that are kept. It can be used again."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def request(self, method: str, path: str, body: Any = None, content: str = "application/json", **query: Any) -> Any:
        """One answer as JSON. Raises ApiError for a refusal, UnreachableError where there is no answer."""
        return json.loads(self._send(method, self._target(path, query), body, content))

    def text(self, path: str) -> str:
        """One answer as text."""
        return self._send("GET", self._target(path, {}), None, "").decode()

    def lines(self, path: str, seconds: float, **query: Any) -> Iterator[Any]:
        """JSON lines as they come, until the server ends the stream or `seconds` pass without one."""
        connection = self._connect(seconds)
        try:
            connection.request("GET", self._target(path, query), headers=self._headers("", empty=True))
            answer = connection.getresponse()
            if answer.status >= 400:
                raise _refusal(answer, answer.read())
            while line := answer.readline():
                yield json.loads(line)
        except TimeoutError:
            return
        except _BROKEN as error:
            raise UnreachableError(self._said(error)) from error
        finally:
            connection.close()

    def _send(self, method: str, target: str, body: Any, content: str) -> bytes:
        for _ in range(ATTEMPTS):
            try:
                return self._send_once(method, target, body, content)
            except _LaterError as refused:
                # Too busy, or a kind that is only just being served: the server has done nothing yet.
                time.sleep(refused.seconds)
        return self._send_once(method, target, body, content)

    def _send_once(self, method: str, target: str, body: Any, content: str) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        headers = self._headers(content, empty=data is None)
        if method != "GET":
            # Never over a kept connection: whether one that broke had carried the request could not be known.
            return self._exchange(self._connect(SECONDS), method, target, data, headers, close=True)
        with self._lock:
            kept = self._idle.pop() if self._idle else None
        if kept is not None:
            try:
                return self._kept(kept, target, headers)
            except UnreachableError:
                # It may have been closed since; a new one tells.
                self.close()
        return self._kept(self._connect(SECONDS), target, headers)

    def _kept(self, connection: http.client.HTTPSConnection, target: str, headers: dict[str, str]) -> bytes:
        try:
            return self._exchange(connection, "GET", target, None, headers)
        finally:
            # A broken one has no socket any more.
            if connection.sock is not None:
                with self._lock:
                    self._idle.append(connection)

    def _exchange(
        self,
        connection: http.client.HTTPSConnection,
        method: str,
        target: str,
        data: bytes | None,
        headers: dict[str, str],
        *,
        close: bool = False,
    ) -> bytes:
        try:
            connection.request(method, target, body=data, headers=headers)
            answer = connection.getresponse()
            content = answer.read()
        except _BROKEN as error:
            connection.close()
            raise UnreachableError(self._said(error)) from error
        if close:
            connection.close()
        if answer.status >= 400:
            raise _refusal(answer, content)
        return content

    def _connect(self, seconds: float) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self._host, self._port, timeout=seconds, context=self._tls)

    def _target(self, path: str, query: dict[str, Any]) -> str:
        given = {name: value for name, value in query.items() if value not in ("", None)}
        return f"{self._prefix}{path}" + (f"?{urlencode(given)}" if given else "")

    def _headers(self, content: str, *, empty: bool) -> dict[str, str]:
        headers = {"Accept": "application/json"}
        if self._access.token:
            headers["Authorization"] = f"Bearer {self._access.token}"
        if not empty:
            headers["Content-Type"] = content
        return headers

    def _said(self, error: Exception) -> str:
        return f"{self._access.server}: {error or type(error).__name__}"


def _refusal(answer: http.client.HTTPResponse, content: bytes) -> ApiError:
    try:
        document = json.loads(content)
    except ValueError:
        document = {"message": content.decode("utf-8", "replace").strip()}
    status = {"code": answer.status, **document}
    later = answer.headers.get("Retry-After", "")
    return _LaterError(status, float(later)) if later.isdigit() else ApiError(status)
