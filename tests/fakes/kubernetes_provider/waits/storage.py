"""Volumes, claims, quotas and tokens: the controller has done its part."""

from typing import ClassVar

from tests.fakes.kubernetes_provider import objects
from tests.fakes.kubernetes_provider.waits.base import Wait


class VolumeWait(Wait):
    """Available or bound."""

    seconds: ClassVar[float] = 300
    fixed: ClassVar[bool] = True

    def done(self) -> bool:
        """By its phase."""
        return objects.at(self.item, "status", "phase") in ("Available", "Bound")


class ClaimWait(Wait):
    """Bound, unless its class waits for a pod."""

    seconds: ClassVar[float] = 300
    fixed: ClassVar[bool] = True

    def done(self) -> bool:
        """By its phase."""
        phase = objects.at(self.item, "status", "phase")
        return phase == "Bound" or (phase == "Pending" and self._waits_for_pod())

    def problems(self) -> list[str]:
        """Its phase."""
        return [f"PersistentVolumeClaim is {objects.at(self.item, 'status', 'phase')}"]

    def _waits_for_pod(self) -> bool:
        name = self.item["spec"].get("storageClassName")
        storage = self.api.find("storage.k8s.io/v1", "StorageClass", name) if name else None
        return storage is not None and storage.get("volumeBindingMode") == "WaitForFirstConsumer"


class QuotaWait(Wait):
    """In force."""

    seconds: ClassVar[float] = 60
    fixed: ClassVar[bool] = True

    def done(self) -> bool:
        """The status repeats it."""
        return bool(objects.at(self.item, "spec", "hard") == objects.at(self.item, "status", "hard"))


class SecretWait(Wait):
    """A service account's token has been filled in; other Secrets are as they were made."""

    seconds: ClassVar[float] = 5
    fixed: ClassVar[bool] = True

    def done(self) -> bool:
        """Whether it holds something."""
        return self.item.get("type") != "kubernetes.io/service-account-token" or bool(self.item.get("data"))
