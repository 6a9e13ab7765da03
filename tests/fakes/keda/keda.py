"""Operator and adapter of one cluster, from start to end."""

import base64
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType

from tests.fakes.keda.adapter import GROUP, VERSION, Adapter
from tests.fakes.keda.operator import Operator
from tests.fakes.keda.signals import Read
from tests.support.cluster import Cluster, keys
from tests.support.kubernetes_api import ApiError, Object, UnreachableError

# A namespace of its own would still be going when the next test begins.
_NAMESPACE, _SERVICE = "kube-system", "keda-metrics-apiserver"
_API_SERVICE = ("apiregistration.k8s.io/v1", "APIService", f"{VERSION}.{GROUP}")
_LOOK_SECONDS = 0.2


class Keda:
    """`with Keda(cluster, read):`; the cluster needs the definitions of `keda-crds`."""

    def __init__(self, cluster: Cluster, read: Read, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """`read` answers for triggers of Prometheus; `clock` is what cron triggers go by."""
        self._cluster = cluster
        self._operator = Operator(cluster.api, read, clock)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.error: BaseException | None = None
        """What ended it before its time."""

    def __enter__(self) -> "Keda":
        folder, api = self._cluster.folder, self._cluster.api
        keys.serving(folder, "keda", f"{_SERVICE}.{_NAMESPACE}.svc")
        self._adapter = Adapter(folder / "keda.crt", folder / "keda.key", folder / "front-ca.crt", self._operator.value)
        for item in _objects(self._adapter.port, (folder / "ca.crt").read_text()):
            api.apply(item)
        self._cluster.processes.wait("the API of external metrics", self._available)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        # An API that nobody serves would keep namespaces from going.
        self._cluster.api.delete(*_API_SERVICE)
        self._cluster.api.delete("v1", "Service", _SERVICE, _NAMESPACE)
        self._adapter.stop()
        self._operator.close()
        if error is None and self.error is not None:
            raise self.error

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            try:
                self._operator.look()
            except UnreachableError:
                continue
            except ApiError as refused:
                if not refused.conflict:
                    self.error = refused
                    return
            except Exception as error:  # noqa: BLE001 - told at the end, in the test's own thread
                self.error = error
                return

    def _available(self) -> bool:
        found = self._cluster.api.find(*_API_SERVICE)
        conditions = (found or {}).get("status", {}).get("conditions", ())
        return any(each["type"] == "Available" and each["status"] == "True" for each in conditions)


def _objects(port: int, authority: str) -> list[Object]:
    """What the aggregation layer needs. Endpoints may not be loopback addresses; an external name may."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": _SERVICE, "namespace": _NAMESPACE},
            "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]},
        },
        {
            "apiVersion": _API_SERVICE[0],
            "kind": _API_SERVICE[1],
            "metadata": {"name": _API_SERVICE[2]},
            "spec": {
                "group": GROUP,
                "version": VERSION,
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "caBundle": base64.b64encode(authority.encode()).decode(),
                "service": {"name": _SERVICE, "namespace": _NAMESPACE, "port": port},
            },
        },
    ]
