"""The provider's own configuration."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.fakes.kubernetes_provider.properties import plain
from tests.support.kubernetes_api import Access, kubeconfig

# Refused, so that no test believes that they had an effect.
_UNSUPPORTED = ("renderYamlToDirectory", "helmReleaseSettings", "alwaysRender")


class SettingsError(ValueError):
    """A setting that this provider does not have; the message names it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Each from the provider's arguments, else from the environment (`PULUMI_K8S_…`)."""

    kubeconfig: str
    """Text or path; empty: what kubectl would use."""
    context: str
    cluster: str
    namespace: str
    """Of objects that name none."""
    mutable_config_maps: bool
    mutable_secrets: bool
    upsert: bool
    """Creation takes over an object that is there."""
    patch_force: bool
    """Server-side apply takes fields from other managers."""
    delete_unreachable: bool
    await_all: bool

    @classmethod
    def read(cls, arguments: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> "Settings":
        """From the arguments as the SDKs send them: all values are texts. Raises SettingsError."""
        given = {
            name: value if isinstance(value, str) else str(value).lower() for name, value in plain(arguments).items()
        }
        for name in _UNSUPPORTED:
            if given.get(name) not in (None, "", "false"):
                raise SettingsError(f"{name} is not in the test provider; see its README.md")
        if given.get("enableServerSideApply") == "false":
            raise SettingsError("enableServerSideApply: false is not in the test provider; see its README.md")

        def switch(name: str, variable: str) -> bool:
            return given.get(name, environment.get(f"PULUMI_K8S_{variable}", "")).lower() == "true"

        return cls(
            kubeconfig=given.get("kubeconfig", ""),
            context=given.get("context", ""),
            cluster=given.get("cluster", ""),
            namespace=given.get("namespace", ""),
            mutable_config_maps=switch("enableConfigMapMutable", "ENABLE_CONFIGMAP_MUTABLE"),
            mutable_secrets=switch("enableSecretMutable", "ENABLE_SECRET_MUTABLE"),
            upsert=switch("upsertExistingObjects", "UPSERT_EXISTING_OBJECTS"),
            patch_force=switch("enablePatchForce", "ENABLE_PATCH_FORCE"),
            delete_unreachable=switch("deleteUnreachable", "DELETE_UNREACHABLE"),
            await_all=environment.get("PULUMI_K8S_AWAIT_ALL", "") == "true",
        )

    def access(self) -> Access:
        """Where the cluster is. Raises KubeconfigError."""
        document = kubeconfig.read(self.kubeconfig or kubeconfig.ambient())
        return kubeconfig.access(document, self.context, self.cluster)


def active_cluster(arguments: Mapping[str, Any]) -> Any:
    """The cluster entry of the kubeconfig that these arguments lead to: another one is another cluster."""
    given = plain(arguments)
    document = kubeconfig.read(given.get("kubeconfig") or "")
    contexts = {entry["name"]: entry.get("context") or {} for entry in document.get("contexts") or []}
    clusters = {entry["name"]: entry.get("cluster") for entry in document.get("clusters") or []}
    context = contexts.get(given.get("context") or document.get("current-context"), {})
    return clusters.get(given.get("cluster") or context.get("cluster"))
