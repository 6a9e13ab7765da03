"""Everything an API server holds, to tell what a deployment leaves behind."""

from typing import NamedTuple

from tests.support.kubernetes_api import Client

# Records of what happened, and leases and slices that controllers renew and rename by themselves.
_TRANSIENT = {"Event", "Lease", "EndpointSlice", "Endpoints", "ComponentStatus", "IPAddress", "ControllerRevision"}


class Item(NamedTuple):
    """One object."""

    api_version: str
    kind: str
    namespace: str
    name: str


def inventory(api: Client) -> set[Item]:
    """All objects of all kinds that can be listed, but for those that come and go by themselves."""
    return {
        Item(resource.api_version, resource.kind, item["metadata"].get("namespace", ""), item["metadata"]["name"])
        for resource in api.discovery.everything()
        if "list" in resource.verbs and resource.kind not in _TRANSIENT
        for item in api.items(resource.api_version, resource.kind)
    }
