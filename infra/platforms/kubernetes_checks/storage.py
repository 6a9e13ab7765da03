"""The class of the volume that holds the weights, which all servers mount."""

from collections.abc import Iterator

from infra.cluster import Client, Object
from infra.components.kubernetes.model_store_job import claim_name
from infra.platforms.kubernetes_checks.finding import STORAGE_CLASS, Finding, note
from infra.platforms.kubernetes_checks.nodes import amount
from infra.settings import Settings

_DEFAULT = "storageclass.kubernetes.io/is-default-class"

ONE_NODE = (
    "ebs.csi.aws.com",
    "ebs.csi.eks.amazonaws.com",
    "kubernetes.io/aws-ebs",
    "pd.csi.storage.gke.io",
    "kubernetes.io/gce-pd",
    "disk.csi.azure.com",
    "kubernetes.io/azure-disk",
    "cinder.csi.openstack.org",
    "dobs.csi.digitalocean.com",
    "linodebs.csi.linode.com",
    "csi.hetzner.cloud",
    "rancher.io/local-path",
    "k8s.io/minikube-hostpath",
    "docker.io/hostpath",
    "kubernetes.io/no-provisioner",
    "topolvm.io",
    "local.csi.openebs.io",
)
"""Provisioners whose file systems one node mounts at a time; their makers' documentation of access modes."""
MANY_NODES = (
    "efs.csi.aws.com",
    "fsx.csi.aws.com",
    "file.csi.azure.com",
    "blob.csi.azure.com",
    "filestore.csi.storage.gke.io",
    "nfs.csi.k8s.io",
    "k8s-sigs.io/nfs-subdir-external-provisioner",
    "smb.csi.k8s.io",
    "driver.longhorn.io",
    "juicefs.com/provisioner",
    "csi.juicefs.com",
    "cephfs.csi.ceph.com",
)
"""Provisioners that give ReadWriteMany. Rook puts its namespace before the name."""


def storage(client: Client, settings: Settings) -> Iterator[Finding]:
    """No such class, no default one, or one whose volumes cannot be shared by nodes."""
    wanted = settings.kubernetes.storage_class
    claim = client.find("v1", "PersistentVolumeClaim", claim_name(wanted), settings.kubernetes.namespace)
    if claim is not None and claim.get("status", {}).get("phase") == "Bound":
        return
    classes = client.items("storage.k8s.io/v1", "StorageClass")
    shared = [_named(item) for item in classes if _many(item)]
    others = f"these can be shared: {', '.join(shared)}" if shared else "install one that can be, such as NFS or EFS"
    context = client.target.context
    if wanted:
        chosen = next((item for item in classes if item["metadata"]["name"] == wanted), None)
        if chosen is None:
            there = ", ".join(map(_named, classes)) or "none"
            yield Finding(STORAGE_CLASS, f"'{wanted}' is not in cluster '{context}', which has: {there}; name one")
            return
    else:
        chosen = next((item for item in classes if _is_default(item)), None)
        if chosen is None:
            there = ", ".join(map(_named, classes)) or "none"
            rule = f"is not set, and cluster '{context}' has no default class (it has: {there})"
            yield Finding(STORAGE_CLASS, f"{rule}; name one whose volumes many nodes can mount: {others}")
            return
    which = f"'{wanted}'" if wanted else f"is not set, so it is the cluster's default, {_named(chosen)}"
    if _one(chosen):
        rule = f"{which}: its volumes are mounted by one node at a time, and the weights are read by all servers"
        yield Finding(STORAGE_CLASS, f"{rule} (ReadWriteMany); {others}")
    elif not _many(chosen):
        unknown = f"whether volumes of {chosen['provisioner']} can be shared by nodes is not known here"
        yield note(STORAGE_CLASS, f"{which}: {unknown}; the weights need ReadWriteMany")


def claimed_bytes(client: Client, settings: Settings) -> int:
    """What the claim of the weights asks for; 0 without a claim."""
    name, space = claim_name(settings.kubernetes.storage_class), settings.kubernetes.namespace
    claim = client.find("v1", "PersistentVolumeClaim", name, space)
    return int(amount(claim["spec"]["resources"]["requests"]["storage"])) if claim else 0


def _named(item: Object) -> str:
    return f"{item['metadata']['name']} ({item.get('provisioner')})"


def _is_default(item: Object) -> bool:
    return (item["metadata"].get("annotations") or {}).get(_DEFAULT) == "true"


def _one(item: Object) -> bool:
    return item.get("provisioner") in ONE_NODE


def _many(item: Object) -> bool:
    provisioner = str(item.get("provisioner"))
    return any(provisioner == name or provisioner.endswith(f".{name}") for name in MANY_NODES)
