"""A Kubernetes cluster for tests: a real control plane, simulated kubelets. Nothing runs in its pods."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType

from tests.support.cluster import servers, snapshot
from tests.support.cluster.apiserver import ADMIN, MASTERS, ApiServer
from tests.support.cluster.behaviour import NODE_IS_DEAD
from tests.support.cluster.nodes import MIXED, Nodes
from tests.support.cluster.processes import Processes
from tests.support.kubernetes_api import Client, Object

_CONTROLLERS = "system:kube-controller-manager"
_SCHEDULER = "system:kube-scheduler"


class Cluster:
    """One cluster in a folder of its own, on free ports of 127.0.0.1. Clusters run side by side.

    `with Cluster(folder) as cluster:` starts it with its nodes ready and its definitions served, in a few seconds, and
    stops it in the end. Its processes end with this one, however that ends.
    """

    def __init__(
        self,
        folder: Path,
        nodes: Iterable[Nodes] = MIXED,
        definitions: Sequence[str] = (),
        users: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        """`definitions` are parts such as crds.PARTS; `users` are more users by name, with their groups."""
        self._programs = servers.Programs.ensure()
        self._nodes = tuple(nodes)
        self._definitions = definitions
        everyone = {_CONTROLLERS: (MASTERS,), _SCHEDULER: (), **(users or {})}
        self._server = ApiServer(folder, self._programs, everyone)
        self.start_seconds: dict[str, float] = {}
        """How long each step of the start took."""

    @property
    def folder(self) -> Path:
        """Keys, data and logs."""
        return self._server.layout.folder

    @property
    def processes(self) -> Processes:
        """Its servers, and what else lives as long as it does."""
        return self._server.processes

    def kubeconfig(self, user: str = ADMIN) -> Path:
        """A file whose one context is apiserver.CONTEXT."""
        return self._server.layout.kubeconfig(user)

    @property
    def api(self) -> Client:
        """As the administrator."""
        return self._server.api

    def api_of(self, user: str) -> Client:
        """As another user."""
        return self._server.api_of(user)

    def __enter__(self) -> "Cluster":
        with ExitStack() as undo:
            undo.callback(self._server.discard)
            self._start()
            undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.discard()

    def add(self, nodes: Nodes) -> list[str]:
        """More nodes, ready; their names."""
        for node in nodes.objects():
            self.api.create(node)
        self.processes.wait("ready nodes", self._nodes_ready)
        return nodes.names()

    def fail_node(self, name: str) -> None:
        """Its kubelet dies: not ready twenty seconds later, its pods evicted as their tolerations say."""
        self.api.patch("v1", "Node", name, {"metadata": {"labels": {NODE_IS_DEAD: "true"}}})

    def heal_node(self, name: str) -> None:
        """Its kubelet is back."""
        self.api.patch("v1", "Node", name, {"metadata": {"labels": {NODE_IS_DEAD: None}}})
        self.processes.wait("ready nodes", self._nodes_ready)

    @contextmanager
    def cordoned(self) -> Iterator[None]:
        """Within it no new pod gets a node: what is evicted is not replaced, however long the next step takes."""
        names = [node["metadata"]["name"] for node in self.api.items("v1", "Node")]
        try:
            self._cordon(names, True)
            yield
        finally:
            self._cordon(names, None)

    def kill_api_server(self) -> None:
        """SIGKILL."""
        self._server.kill()

    def start_api_server(self) -> None:
        """After it was killed; ready when this returns."""
        self._server.start()

    def _cordon(self, names: Iterable[str], unschedulable: bool | None) -> None:
        for name in names:
            self.api.patch("v1", "Node", name, {"spec": {"unschedulable": unschedulable}})

    def _start(self) -> None:
        layout = self._server.layout
        self._step("keys and storage", self._prepare)
        self._server.start_storage()
        self._step("API server", self._server.start)
        self.processes.start("controllers", servers.controllers(self._programs, layout, _CONTROLLERS))
        self.processes.start("scheduler", servers.scheduler(self._programs, layout, _SCHEDULER))
        self.processes.start("kwok", servers.kwok(self._programs, layout, ADMIN))
        self._step("nodes", self._make_nodes)

    def _step(self, name: str, action: Callable[[], None]) -> None:
        started = time.monotonic()
        action()
        self.start_seconds[name] = round(time.monotonic() - started, 2)

    def _prepare(self) -> None:
        self._server.prepare(snapshot.ensure(self._programs, self._definitions))

    def _make_nodes(self) -> None:
        for nodes in self._nodes:
            for node in nodes.objects():
                self.api.create(node)
        self.processes.wait("ready nodes", self._nodes_ready)
        # Without it no pod is admitted.
        self.processes.wait("the default service account", self._service_account_there)

    def _service_account_there(self) -> bool:
        return self.api.find("v1", "ServiceAccount", "default", "default") is not None

    def _nodes_ready(self) -> bool:
        return all(_is_ready(node) for node in self.api.items("v1", "Node"))


def _is_ready(node: Object) -> bool:
    conditions = node.get("status", {}).get("conditions", ())
    taints = node["spec"].get("taints", ())
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions) and not any(
        taint["key"].startswith("node.kubernetes.io/") for taint in taints
    )
