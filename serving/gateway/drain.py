"""Stops a gateway without cutting a stream."""

import time

from serving.gateway.admin import Admin
from serving.gateway.listeners import PREFIX

_STREAMS = f"http.{PREFIX}.downstream_rq_active"
_CONNECTIONS = f"http.{PREFIX}.downstream_cx_active"


def drain(admin: Admin, *, patience: float, notice: float = 0.0, linger: float = 5.0, poll: float = 0.2) -> int:
    """Asks a gateway to empty itself; returns the streams that are still open when `patience` seconds are over.

    Only then may its process be told to stop: SIGTERM cuts what is open. `notice` seconds pass between the failing of
    health checks and the draining: as long as load balancers in front need to see it. Connections that clients keep
    without a request learn of the draining by their next answer; they get `linger` seconds for that after the last
    stream, as a request that meets the end of the process would be lost. Raises AdminError when the gateway does not
    answer.
    """
    admin.fail_health_checks()
    time.sleep(notice)
    admin.drain_listeners()
    end = time.monotonic() + patience
    idle_since: float | None = None
    while True:
        streams, connections = _active(admin, _STREAMS), _active(admin, _CONNECTIONS)
        now = time.monotonic()
        if streams:
            idle_since = None
        else:
            idle_since = idle_since or now
            if not connections or now - idle_since >= linger:
                return 0
        if now >= end:
            return streams
        time.sleep(poll)


def active_streams(admin: Admin) -> int:
    """Requests in progress."""
    return _active(admin, _STREAMS)


def _active(admin: Admin, name: str) -> int:
    return int(admin.stats(f"^{name}$".replace(".", r"\.")).get(name, 0))
