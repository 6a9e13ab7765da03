"""An API server with its storage: keys, users, and what stands them up and down."""

import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.support.cluster import keys, servers
from tests.support.cluster.processes import Processes
from tests.support.kubernetes_api import Access, Client, UnreachableError, kubeconfig
from tests.support.portblock import free_port

ADMIN = "admin"
CONTEXT = "test"
"""The one context of every kubeconfig."""
MASTERS = "system:masters"
_STORAGE, _API = "etcd", "apiserver"


class ApiServer:
    """In a folder of its own, on free ports of 127.0.0.1. Its processes end with this one, however that ends."""

    def __init__(self, folder: Path, programs: servers.Programs, users: Mapping[str, tuple[str, ...]]) -> None:
        """`users` by name, with their groups; the administrator is always there."""
        self.layout = servers.Layout(folder, servers.Ports(*free_ports(3)))
        self.processes = Processes(folder)
        self._programs = programs
        self._users = {ADMIN: (MASTERS,), **users}
        self._clients: dict[str, Client] = {}

    @property
    def storage(self) -> Path:
        """All that the API server knows; to be touched only while it is down."""
        return self.layout.folder / "etcd"

    @property
    def api(self) -> Client:
        """As the administrator."""
        return self._clients[ADMIN]

    def api_of(self, user: str) -> Client:
        """As another user."""
        return self._clients[user]

    def prepare(self, snapshot: Path | None = None) -> None:
        """Makes keys, users and kubeconfigs; the storage is empty, or a copy of a snapshot."""
        folder = self.layout.folder
        folder.mkdir(parents=True, exist_ok=True)
        if snapshot is not None:
            shutil.copytree(snapshot, self.storage)
        keys.make(folder)
        server, authority = f"https://127.0.0.1:{self.layout.ports.api}", (folder / "ca.crt").read_text()
        rows: list[str] = []
        for user, groups in self._users.items():
            token = secrets.token_hex(16)
            rows.append(f'{token},{user},{user},"{",".join(groups)}"\n')
            access = Access(server, authority, token, "default")
            self._clients[user] = Client(access)
            kubeconfig.write(self.layout.kubeconfig(user), CONTEXT, user, access)
        tokens = folder / "tokens.csv"
        tokens.touch(mode=0o600)
        tokens.write_text("".join(rows))

    def start_storage(self) -> None:
        """The API server waits for it."""
        self.processes.start(_STORAGE, servers.etcd(self._programs, self.layout))

    def start(self) -> None:
        """Starts the API server, on the same port and data each time; ready when this returns."""
        self.processes.start(_API, servers.apiserver(self._programs, self.layout))
        self.processes.wait("readiness of the API server", self._ready)

    def kill(self) -> None:
        """SIGKILL to the API server; the storage stays."""
        self.processes.kill(_API)

    def stop(self) -> None:
        """The API server first, then the storage, which closes its files."""
        self._disconnect()
        self.processes.stop_all()

    def discard(self) -> None:
        """Kills everything that runs here, and removes the data; keys and logs stay."""
        self._disconnect()
        self.processes.kill_all()
        shutil.rmtree(self.storage, ignore_errors=True)

    def _disconnect(self) -> None:
        for client in self._clients.values():
            client.close()

    def _ready(self) -> bool:
        try:
            return self.api.ready()
        except UnreachableError:
            return False


def free_ports(count: int) -> list[int]:
    """Ports that are this process's own: a server that is killed finds its port again."""
    return [free_port() for _ in range(count)]
