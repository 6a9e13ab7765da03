"""Which wait belongs to which kind."""

from collections.abc import Mapping

from tests.fakes.kubernetes_provider import objects
from tests.fakes.kubernetes_provider.waits.base import NotReadyError, Wait, check, wait
from tests.fakes.kubernetes_provider.waits.custom import CustomWait, ReadyWait, WaitForError
from tests.fakes.kubernetes_provider.waits.deletion import is_skipped, wait_gone
from tests.fakes.kubernetes_provider.waits.deployment import DeploymentWait
from tests.fakes.kubernetes_provider.waits.network import IngressWait, ServiceWait
from tests.fakes.kubernetes_provider.waits.sets import DaemonSetWait, StatefulSetWait
from tests.fakes.kubernetes_provider.waits.single import JobWait, PodWait
from tests.fakes.kubernetes_provider.waits.storage import ClaimWait, QuotaWait, SecretWait, VolumeWait
from tests.support.kubernetes_api import Client, Object

_BY_KIND: Mapping[str, type[Wait]] = {
    "apps/v1/DaemonSet": DaemonSetWait,
    "apps/v1/Deployment": DeploymentWait,
    "apps/v1/StatefulSet": StatefulSetWait,
    "batch/v1/Job": JobWait,
    "networking.k8s.io/v1/Ingress": IngressWait,
    "v1/PersistentVolume": VolumeWait,
    "v1/PersistentVolumeClaim": ClaimWait,
    "v1/Pod": PodWait,
    "v1/ResourceQuota": QuotaWait,
    "v1/Secret": SecretWait,
    "v1/Service": ServiceWait,
}

__all__ = ["NotReadyError", "Wait", "WaitForError", "check", "is_skipped", "of", "wait", "wait_gone"]


def of(
    api: Client, inputs: Object, item: Object, before: Object | None = None, *, await_all: bool = False
) -> Wait | None:
    """What to wait for after an object was created or changed; None for nothing. Raises WaitForError."""
    if objects.is_true(inputs, objects.SKIP_AWAIT):
        return None
    if objects.annotation(inputs, objects.WAIT_FOR):
        return CustomWait(api, item, before)
    found = _BY_KIND.get(objects.kind(item))
    if found is None and await_all:
        found = ReadyWait
    return found(api, item, before) if found else None
