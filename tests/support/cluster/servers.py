"""Command lines of the servers of a cluster."""

from dataclasses import dataclass
from pathlib import Path

from infra import toolchain

SERVICE_RANGE = "10.96.0.0/16"
POD_RANGE = "10.244.0.0/16"
_KWOK_CONFIG = Path(__file__).with_name("kwok.yaml")


@dataclass(frozen=True, slots=True)
class Programs:
    """Where the programs are."""

    etcd: Path
    apiserver: Path
    controllers: Path
    scheduler: Path
    kwok: Path

    @classmethod
    def ensure(cls) -> "Programs":
        """From the toolchain, which builds what is missing."""
        return cls(
            etcd=toolchain.ensure("etcd"),
            apiserver=toolchain.ensure("kube-apiserver"),
            controllers=toolchain.ensure("kube-controller-manager"),
            scheduler=toolchain.ensure("kube-scheduler"),
            kwok=toolchain.ensure("kwok"),
        )


@dataclass(frozen=True, slots=True)
class Ports:
    """All on 127.0.0.1."""

    etcd: int
    etcd_peers: int
    api: int


@dataclass(frozen=True, slots=True)
class Layout:
    """The folder of a cluster: keys, tokens, kubeconfigs, data, logs."""

    folder: Path
    ports: Ports

    def kubeconfig(self, user: str) -> Path:
        """Of one user; colons do not go well in file names."""
        return self.folder / f"{user.replace(':', '-')}.kubeconfig"


def etcd(programs: Programs, layout: Layout) -> list[str]:
    """Keeps everything; loses it with the machine, not with the process."""
    clients = f"http://127.0.0.1:{layout.ports.etcd}"
    peers = f"http://127.0.0.1:{layout.ports.etcd_peers}"
    return [
        str(programs.etcd),
        "--name=test",
        f"--data-dir={layout.folder}/etcd",
        f"--listen-client-urls={clients}",
        f"--advertise-client-urls={clients}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=test={peers}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def apiserver(programs: Programs, layout: Layout) -> list[str]:
    """With its default admission plugins, RBAC, and what aggregated APIs need."""
    folder = layout.folder
    return [
        str(programs.apiserver),
        f"--etcd-servers=http://127.0.0.1:{layout.ports.etcd}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={layout.ports.api}",
        # Its own address is not allowed in Endpoints, as it is a loopback.
        "--endpoint-reconciler-type=none",
        f"--tls-cert-file={folder}/api.crt",
        f"--tls-private-key-file={folder}/api.key",
        f"--client-ca-file={folder}/ca.crt",
        f"--requestheader-client-ca-file={folder}/front-ca.crt",
        f"--proxy-client-cert-file={folder}/front-proxy.crt",
        f"--proxy-client-key-file={folder}/front-proxy.key",
        "--requestheader-allowed-names=front-proxy",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--token-auth-file={folder}/tokens.csv",
        "--authorization-mode=RBAC",
        "--allow-privileged=true",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={folder}/service-accounts.pub",
        f"--service-account-signing-key-file={folder}/service-accounts.key",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        "--profiling=false",
    ]


def controllers(programs: Programs, layout: Layout, user: str) -> list[str]:
    """All controllers but those that need a cloud; quick where a person would wait."""
    folder = layout.folder
    return [
        str(programs.controllers),
        f"--kubeconfig={layout.kubeconfig(user)}",
        "--leader-elect=false",
        "--secure-port=0",
        f"--service-account-private-key-file={folder}/service-accounts.key",
        f"--root-ca-file={folder}/ca.crt",
        f"--cluster-signing-cert-file={folder}/ca.crt",
        f"--cluster-signing-key-file={folder}/ca.key",
        f"--cluster-cidr={POD_RANGE}",
        "--allocate-node-cidrs=false",
        "--controllers=*,-nodeipam,-ttl,-cloud-node-lifecycle",
        # It would make a folder of the system.
        f"--flex-volume-plugin-dir={folder}/flex",
        "--horizontal-pod-autoscaler-sync-period=2s",
        "--node-monitor-period=1s",
        # A machine that stands still for some seconds must not lose its nodes.
        "--node-monitor-grace-period=20s",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        "--profiling=false",
    ]


def scheduler(programs: Programs, layout: Layout, user: str) -> list[str]:
    """The default scheduler."""
    kubeconfig = layout.kubeconfig(user)
    return [
        str(programs.scheduler),
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--leader-elect=false",
        "--secure-port=0",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    ]


def kwok(programs: Programs, layout: Layout, user: str) -> list[str]:
    """The kubelets, load balancers and volumes."""
    return [str(programs.kwok), f"--kubeconfig={layout.kubeconfig(user)}", f"--config={_KWOK_CONFIG}"]
