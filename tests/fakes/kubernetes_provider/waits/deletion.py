"""Waiting for an object to be gone, with what it owns (deletion is in the foreground by default)."""

import threading
import time

from tests.fakes.kubernetes_provider import objects
from tests.fakes.kubernetes_provider.waits.base import POLL_SECONDS, NotReadyError
from tests.support.kubernetes_api import ApiError, Client, Object, UnreachableError

_SLOW = {"apps/v1/Deployment", "apps/v1/StatefulSet", "apps/v1/DaemonSet"}
# Kinds for which `skipAwait` holds for deletion too, for reasons of the real provider's history.
_SKIPPABLE = {*_SLOW, "v1/Namespace", "v1/Pod", "v1/ReplicationController", "batch/v1/Job"}


def is_skipped(inputs: Object) -> bool:
    """Whether the inputs ask not to wait."""
    return objects.is_true(inputs, objects.SKIP_AWAIT) and objects.kind(inputs) in _SKIPPABLE


def wait_gone(api: Client, item: Object, seconds: float | None, stopping: threading.Event) -> None:
    """Returns when it is gone. Raises NotReadyError when its time is over, naming the finalizers that hold it."""
    end = time.monotonic() + (seconds or (600 if objects.kind(item) in _SLOW else 300))
    uid = item["metadata"].get("uid")
    while True:
        try:
            last = api.find(item["apiVersion"], item["kind"], objects.name(item), objects.namespace(item) or None)
            # Another object of that name is not the one that was to go.
            if last is None or (uid and last["metadata"]["uid"] != uid):
                return
            item = last
        except (UnreachableError, ApiError):
            pass
        held = ", ".join(item["metadata"].get("finalizers", ()))
        reasons = [f"finalizers might be preventing deletion ({held})"] if held else []
        if time.monotonic() > end:
            raise NotReadyError(f"'{objects.name(item)}' timed out waiting to be Deleted", item, reasons)
        if stopping.wait(POLL_SECONDS):
            raise NotReadyError(f'Resource operation was cancelled for "{objects.name(item)}"', item, reasons)
