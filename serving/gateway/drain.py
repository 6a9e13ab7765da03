"""Stops a gateway without cutting a stream."""

import time

from serving.gateway.admin import Admin
from serving.gateway.listeners import PREFIX


def drain(admin: Admin, *, patience: float, notice: float = 0.0, poll: float = 0.2) -> int:
    """Asks a gateway to empty itself; returns the streams that are still open when `patience` seconds are over.

    Only then may its process be told to stop: SIGTERM cuts what is open. `notice` seconds pass between the failing of
    health checks and the draining: as long as load balancers in front need to see it. Raises AdminError when the
    gateway does not answer.
    """
    admin.fail_health_checks()
    time.sleep(notice)
    admin.drain_listeners()
    end = time.monotonic() + patience
    while True:
        open_streams = active_streams(admin)
        if open_streams == 0 or time.monotonic() >= end:
            return open_streams
        time.sleep(poll)


def active_streams(admin: Admin) -> int:
    """Requests in progress."""
    name = f"http.{PREFIX}.downstream_rq_active"
    return int(admin.stats(f"^{name}$".replace(".", r"\.")).get(name, 0))
