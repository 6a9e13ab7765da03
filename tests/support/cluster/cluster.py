"""A Kubernetes cluster for tests: a real control plane, simulated kubelets. Nothing runs in its pods."""

import secrets
import shutil
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from tests.support.cluster import crds, keys, servers
from tests.support.cluster.api import Access, Client, Object, UnreachableError, kubeconfig
from tests.support.cluster.behaviour import NODE_IS_DEAD
from tests.support.cluster.nodes import MIXED, Nodes
from tests.support.cluster.processes import Processes

ADMIN = "admin"
CONTEXT = "test"
_CONTROLLERS = "system:kube-controller-manager"
_SCHEDULER = "system:kube-scheduler"
_MASTERS = "system:masters"


class Cluster:
    """One cluster in a folder of its own, on free ports of 127.0.0.1. Clusters run side by side.

    `with Cluster(folder) as cluster:` starts it with its nodes ready and its definitions served, in a few seconds, and
    stops it in the end. Its processes end with this one, however that ends.
    """

    def __init__(
        self,
        folder: Path,
        nodes: Iterable[Nodes] = MIXED,
        definitions: Iterable[str] = (),
        users: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        """`definitions` are parts such as crds.PARTS; `users` are more users by name, with their groups."""
        self._programs = servers.Programs.ensure()
        self._layout = servers.Layout(folder, servers.Ports(*free_ports(3)))
        self._nodes = tuple(nodes)
        self._definitions = tuple(definitions)
        # Kwok stands for the kubelets of all nodes, and for clouds.
        self._users = {ADMIN: (_MASTERS,), _CONTROLLERS: (_MASTERS,), _SCHEDULER: (), **(users or {})}
        self._accesses: dict[str, Access] = {}
        self.processes = Processes(folder)
        self.start_seconds: dict[str, float] = {}
        """How long each step of the start took."""

    @property
    def folder(self) -> Path:
        """Keys, data and logs."""
        return self._layout.folder

    @property
    def server(self) -> str:
        """URL of the API server."""
        return f"https://127.0.0.1:{self._layout.ports.api}"

    def kubeconfig(self, user: str = ADMIN) -> Path:
        """A file whose one context is `CONTEXT`."""
        return self._layout.kubeconfig(user)

    @property
    def api(self) -> Client:
        """As the administrator."""
        return self._admin

    def api_of(self, user: str) -> Client:
        """As another user."""
        return Client(self._accesses[user])

    def __enter__(self) -> "Cluster":
        with ExitStack() as undo:
            undo.callback(self.processes.stop_all)
            self._start()
            undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.processes.stop_all()
        # Tens of megabytes that nobody reads; the logs stay.
        shutil.rmtree(self.folder / "etcd")

    def add(self, nodes: Nodes) -> list[str]:
        """More nodes, ready; their names."""
        for node in nodes.objects():
            self.api.create(node)
        self.processes.wait("ready nodes", self._nodes_ready)
        return nodes.names()

    def fail_node(self, name: str) -> None:
        """Its kubelet dies: not ready ten seconds later, its pods evicted as their tolerations say."""
        self.api.patch("v1", "Node", name, {"metadata": {"labels": {NODE_IS_DEAD: "true"}}})

    def heal_node(self, name: str) -> None:
        """Its kubelet is back."""
        self.api.patch("v1", "Node", name, {"metadata": {"labels": {NODE_IS_DEAD: None}}})

    def kill_api_server(self) -> None:
        """SIGKILL."""
        self.processes.kill("apiserver")

    def start_api_server(self) -> None:
        """Starts it on the same port and data; ready when this returns."""
        self.processes.start("apiserver", servers.apiserver(self._programs, self._layout))
        self.processes.wait("readiness of the API server", self._api_ready)

    def _start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._step("keys", self._make_keys)
        self.processes.start("etcd", servers.etcd(self._programs, self._layout))
        self._step("API server", self.start_api_server)
        self.processes.start("controllers", servers.controllers(self._programs, self._layout, _CONTROLLERS))
        self.processes.start("scheduler", servers.scheduler(self._programs, self._layout, _SCHEDULER))
        self.processes.start("kwok", servers.kwok(self._programs, self._layout, ADMIN))
        self._step("definitions", self._install_definitions)
        self._step("nodes", self._make_nodes)

    def _step(self, name: str, action: Callable[[], None]) -> None:
        started = time.monotonic()
        action()
        self.start_seconds[name] = round(time.monotonic() - started, 2)

    def _make_keys(self) -> None:
        keys.make(self.folder)
        rows: list[str] = []
        for user, groups in self._users.items():
            token = secrets.token_hex(16)
            rows.append(f'{token},{user},{user},"{",".join(groups)}"\n')
            access = Access(self.server, (self.folder / "ca.crt").read_text(), token, "default")
            self._accesses[user] = access
            kubeconfig.write(self.kubeconfig(user), CONTEXT, user, access)
        tokens = self.folder / "tokens.csv"
        tokens.touch(mode=0o600)
        tokens.write_text("".join(rows))
        self._admin = Client(self._accesses[ADMIN])

    def _install_definitions(self) -> None:
        names = crds.install(self.api, crds.load(self._definitions))
        self.processes.wait("served definitions", lambda: crds.established(self.api, names))

    def _make_nodes(self) -> None:
        for nodes in self._nodes:
            for node in nodes.objects():
                self.api.create(node)
        self.processes.wait("ready nodes", self._nodes_ready)
        # Without it no pod is admitted.
        self.processes.wait("the default service account", self._service_account_there)

    def _api_ready(self) -> bool:
        try:
            return self.api.ready()
        except UnreachableError:
            return False

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


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago; all different."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
