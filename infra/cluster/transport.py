"""HTTP to one API server: JSON in, JSON out, over one connection that is kept."""

import http.client
import json
import os
import ssl
import tempfile
import time
from base64 import b64encode
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

from infra.cluster.errors import AccessError, ApiError, UnreachableError
from infra.cluster.kubeconfig import Target
from infra.cluster.login import Login

_BROKEN = (OSError, http.client.HTTPException)
_ATTEMPTS = 5
"""Of a request that the server is too busy for, or not ready for yet."""
_LONGEST_WAIT = 5.0
"""Seconds before the next one, whatever the server says."""


class Transport:
    """Requests to one server as one user, one at a time. Any may be sent twice, so none may change anything."""

    def __init__(
        self, target: Target, login: Login, seconds: float, environment: Mapping[str, str] = os.environ
    ) -> None:
        """`seconds` is what connecting may take, and then each answer."""
        self.server = target.server
        place = urlsplit(target.server)
        self._host, self._prefix = place.hostname or "", place.path
        self._secure = place.scheme == "https"
        self._port = place.port or (443 if self._secure else 80)
        self._headers = (("Accept", "application/json"), *login.headers)
        self._seconds = seconds
        self._tls = _tls(target, login) if self._secure else None
        self._name = str(target.cluster.get("tls-server-name") or self._host)
        self._proxy = str(target.cluster.get("proxy-url") or "") or _ambient_proxy(
            self._host, place.scheme, environment
        )
        self._open: http.client.HTTPConnection | None = None

    def close(self) -> None:
        """Closes the connection. It can be used again."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def request(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        """One answer. Raises ApiError for a refusal, UnreachableError where there is no answer."""
        given = {name: value for name, value in query.items() if value}
        target = f"{self._prefix}{path}" + (f"?{urlencode(given)}" if given else "")
        data = None if body is None else json.dumps(body).encode()
        for attempt in range(_ATTEMPTS):
            status, wait, content = self._sent(method, target, data)
            if wait is None or attempt == _ATTEMPTS - 1:
                break
            time.sleep(min(wait, _LONGEST_WAIT))
        return _answer(self.server, status, content)

    def _sent(self, method: str, target: str, data: bytes | None) -> tuple[int, float | None, bytes]:
        kept = self._open is not None
        try:
            return self._exchange(method, target, data)
        except _BROKEN as error:
            self.close()
            if not kept:
                raise UnreachableError(f"{self.server}: {_said(error)}") from error
            # The server may have closed it since; a new one tells.
            return self._sent(method, target, data)

    def _exchange(self, method: str, target: str, data: bytes | None) -> tuple[int, float | None, bytes]:
        """Status, the seconds after which the server wants to be asked again, and the body."""
        if self._open is None:
            self._open = self._connect()
        self._open.putrequest(method, target, skip_accept_encoding=True)
        for name, value in self._headers:
            self._open.putheader(name, value)
        if data is not None:
            self._open.putheader("Content-Type", "application/json")
            self._open.putheader("Content-Length", str(len(data)))
        self._open.endheaders(data)
        answer = self._open.getresponse()
        later = answer.headers.get("Retry-After", "") if answer.status in (429, 503) else ""
        return answer.status, float(later) if later.isdecimal() else None, answer.read()

    def _connect(self) -> http.client.HTTPConnection:
        host, port, tunnel = self._host, self._port, {}
        if self._proxy:
            proxy = urlsplit(self._proxy)
            if proxy.scheme != "http" or not proxy.hostname:
                raise AccessError(f"proxy {proxy.scheme}://{proxy.hostname}: only http:// proxies are understood here")
            host, port = proxy.hostname, proxy.port or 80
            if proxy.username:
                pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
                tunnel["Proxy-Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        connection: http.client.HTTPConnection
        if self._tls is None:
            connection = http.client.HTTPConnection(host, port, timeout=self._seconds)
        else:
            connection = _NamedConnection(host, port, self._name, self._seconds, self._tls)
        if self._proxy:
            connection.set_tunnel(self._host, self._port, tunnel)
        return connection


class _NamedConnection(http.client.HTTPSConnection):
    """Checks the server's certificate against a name that need not be the host's."""

    def __init__(self, host: str, port: int, name: str, seconds: float, tls: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=seconds, context=tls)
        self._checked = (name, tls)

    def connect(self) -> None:
        """Through the proxy, where there is one, then TLS."""
        http.client.HTTPConnection.connect(self)
        name, tls = self._checked
        self.sock = tls.wrap_socket(self.sock, server_hostname=name)


def _tls(target: Target, login: Login) -> ssl.SSLContext:
    authority = target.authority
    try:
        context = ssl.create_default_context(cadata=authority or None)
    except ssl.SSLError as error:
        raise AccessError(f"kubeconfig: cluster '{target.cluster_name}': certificate authority: {error}") from error
    if target.cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if login.certificate:
        # The library reads keys from files only; the folder is the user's alone, and gone in a moment.
        with tempfile.TemporaryDirectory(prefix="berth-") as folder:
            pair = Path(folder, "pair.pem")
            pair.touch(mode=0o600)
            pair.write_text(f"{login.certificate}\n{login.key}\n")
            try:
                context.load_cert_chain(pair)
            except (ssl.SSLError, OSError) as error:
                raise AccessError(f"kubeconfig: user '{target.user_name}': client certificate: {error}") from error
    return context


def _ambient_proxy(host: str, scheme: str, environment: Mapping[str, str]) -> str:
    """As Go's clients find it; never for this machine."""
    apart = (environment.get("NO_PROXY") or environment.get("no_proxy") or "").split(",")
    if host in ("localhost", "127.0.0.1", "::1") or any(_covers(entry.strip(), host) for entry in apart):
        return ""
    name = f"{scheme}_proxy"
    return environment.get(name.upper()) or environment.get(name) or ""


def _covers(entry: str, host: str) -> bool:
    """Whether an entry of NO_PROXY speaks of a host: `*`, a name and all below it, an address, a network."""
    try:
        return ip_address(host) in ip_network(entry, strict=False)
    except ValueError:
        name = entry.lstrip(".")
        return entry == "*" or (bool(name) and (host == name or host.endswith(f".{name}")))


def _answer(server: str, status: int, content: bytes) -> Any:
    try:
        document = json.loads(content)
    except ValueError:
        text = content.decode("utf-8", "replace").strip()[:200]
        if status < 400:
            raise UnreachableError(f"{server}: answers, but not as an API server: {text}") from None
        document = {"message": text}
    if status >= 400:
        raise ApiError({**(document if isinstance(document, dict) else {}), "code": status})
    return document


def _said(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "does not answer"
    return str(
        getattr(error, "strerror", None) or getattr(error, "verify_message", None) or error or type(error).__name__
    )
