"""The gateway's admin port, as far as it is open."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass


class AdminError(RuntimeError):
    """The admin port does not answer, or not as expected."""


@dataclass(frozen=True, slots=True)
class Admin:
    """The admin port of a running gateway, on this machine."""

    port: int

    def _call(self, path: str, method: str = "GET") -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
                body: bytes = answer.read()
                return body
        except (urllib.error.URLError, OSError) as error:
            raise AdminError(f"gateway admin on port {self.port}, {method} {path}: {error}") from error

    def ready(self) -> bool:
        """It has its configuration and takes requests."""
        try:
            return self._call("/ready").strip() == b"LIVE"
        except AdminError:
            return False

    def stats(self, pattern: str) -> dict[str, int | str]:
        """Counters, gauges and texts whose names match the regular expression."""
        query = urllib.request.quote(pattern, safe="")  # type: ignore[attr-defined]
        values = json.loads(self._call(f"/stats?format=json&filter={query}"))["stats"]
        return {v["name"]: v["value"] for v in values if "name" in v}

    def metrics(self) -> str:
        """All statistics in Prometheus's text format."""
        return self._call("/stats/prometheus").decode()

    def fail_health_checks(self) -> None:
        """From now on the health path answers 503, so that load balancers send new connections elsewhere."""
        self._call("/healthcheck/fail", "POST")

    def drain_listeners(self) -> None:
        """Asks clients to go elsewhere after their present request; accepts new ones until the process ends."""
        self._call("/drain_listeners?graceful&skip_exit", "POST")
