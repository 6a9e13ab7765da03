"""`external.metrics.k8s.io/v1beta1` for the API server's aggregation layer, on 127.0.0.1."""

import json
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.fakes.keda.hpa import OWNER
from tests.fakes.keda.signals import SignalError

GROUP, VERSION = "external.metrics.k8s.io", "v1beta1"
_ROOT = f"/apis/{GROUP}/{VERSION}"

Value = Callable[[str, str, str], float]
"""Of a metric of a ScaledObject: namespace, ScaledObject, metric. Raises SignalError, LookupError."""


class Adapter:
    """A server for one cluster. Only clients with a certificate of the front proxy's authority get an answer."""

    def __init__(self, certificate: Path, key: Path, clients: Path, value: Value) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(value))
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(clients))
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Answers no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(value: Value) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            place = urlsplit(self.path)
            code, body = _answer(place.path, parse_qs(place.query), value)
            content = json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """The test's own output is enough."""

    return Handler


def _answer(path: str, query: dict[str, list[str]], value: Value) -> tuple[int, dict[str, Any]]:
    if path == _ROOT:
        return 200, _RESOURCES
    parts = path.removeprefix(f"{_ROOT}/namespaces/").split("/")
    selector = query.get("labelSelector", [""])[0]
    if len(parts) != 2 or not selector.startswith(f"{OWNER}="):
        return 404, _status(404, "NotFound", f"there is no {path}")
    namespace, metric = parts
    try:
        found = value(namespace, selector.partition("=")[2], metric)
    except LookupError as error:
        return 404, _status(404, "NotFound", str(error))
    except SignalError as error:
        return 500, _status(500, "InternalError", str(error))
    item = {
        "metricName": metric,
        "metricLabels": {},
        "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "value": f"{round(found * 1000)}m",
    }
    return 200, {
        "kind": "ExternalMetricValueList",
        "apiVersion": f"{GROUP}/{VERSION}",
        "metadata": {},
        "items": [item],
    }


def _status(code: int, reason: str, message: str) -> dict[str, Any]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
    }


_RESOURCES = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": f"{GROUP}/{VERSION}",
    "resources": [
        {
            "name": "externalmetrics",
            "singularName": "",
            "namespaced": True,
            "kind": "ExternalMetricValueList",
            "verbs": ["get"],
        }
    ],
}
