"""A small client of the Kubernetes API: enough for tests and for the test provider, in plain dicts."""

from collections.abc import Iterator
from typing import Any, TypeAlias

from tests.support.kubernetes_api.discovery import Discovery, Resource
from tests.support.kubernetes_api.errors import ApiError
from tests.support.kubernetes_api.kubeconfig import Access
from tests.support.kubernetes_api.transport import Transport

Object: TypeAlias = dict[str, Any]
"""A Kubernetes object as JSON."""

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"


class Client:
    """One API server as one user. Safe to use from several threads."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._transport = Transport(access)
        self.discovery = Discovery(self._transport)

    def close(self) -> None:
        """Closes idle connections."""
        self._transport.close()

    def version(self) -> str:
        """The server's version, such as `v1.36.3`."""
        return str(self._transport.request("GET", "/version")["gitVersion"])

    def ready(self) -> bool:
        """Whether the server says that it is ready. Raises UnreachableError while there is none."""
        try:
            return self._transport.text("/readyz") == "ok"
        except ApiError:
            return False

    def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Object:
        """One object. Raises ApiError (`not_found`) when it is not there."""
        return dict(self._transport.request("GET", self._find(api_version, kind).path(namespace, name)))

    def find(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """One object, None when it is not there."""
        try:
            return self.get(api_version, kind, name, namespace)
        except ApiError as error:
            if error.not_found:
                return None
            raise

    def items(
        self, api_version: str, kind: str, namespace: str | None = None, labels: str = "", fields: str = ""
    ) -> list[Object]:
        """Objects of a namespace, or of all when it is None; `labels` and `fields` are selectors."""
        return self.page(api_version, kind, namespace, labels, fields)[0]

    def page(
        self, api_version: str, kind: str, namespace: str | None = None, labels: str = "", fields: str = ""
    ) -> tuple[list[Object], str]:
        """The same, and the version of the collection that a watch can go on from."""
        path = self._find(api_version, kind).path(namespace)
        answer = self._transport.request("GET", path, labelSelector=labels, fieldSelector=fields)
        # Items of a list come without these two.
        items = [{"apiVersion": api_version, "kind": kind, **item} for item in answer["items"]]
        return items, answer["metadata"]["resourceVersion"]

    def watch(
        self, api_version: str, kind: str, since: str, namespace: str | None = None, seconds: float = 30.0
    ) -> Iterator[tuple[str, Object]]:
        """Changes after the version `since`: ADDED, MODIFIED, DELETED and the object.

        Ends after `seconds` without a change. Raises ApiError (code 410) when `since` is too old.
        """
        path = self._find(api_version, kind).path(namespace)
        for event in self._transport.lines(path, seconds, watch="true", resourceVersion=since):
            if event["type"] == "ERROR":
                raise ApiError(event["object"])
            yield event["type"], event["object"]

    def create(self, body: Object, manager: str = "", *, dry_run: bool = False) -> Object:
        """A new object. Raises ApiError (`already_exists`) when there is one of that name."""
        resource, namespace, _ = self._place(body)
        query = {"fieldManager": manager, "fieldValidation": "Warn", "dryRun": _dry(dry_run)}
        return dict(self._transport.request("POST", resource.path(namespace), body, **query))

    def replace(self, body: Object, manager: str = "", *, dry_run: bool = False) -> Object:
        """The object as a whole; it must hold the `resourceVersion` it is meant to replace."""
        resource, namespace, name = self._place(body)
        query = {"fieldManager": manager, "dryRun": _dry(dry_run)}
        return dict(self._transport.request("PUT", resource.path(namespace, name), body, **query))

    def apply(self, body: Object, manager: str = "test", *, force: bool = False, dry_run: bool = False) -> Object:
        """Server-side apply. Raises ApiError (`conflict`) when someone else owns a field, unless `force`."""
        resource, namespace, name = self._place(body)
        query = {"fieldManager": manager, "force": str(force).lower(), "dryRun": _dry(dry_run)}
        return dict(self._transport.request("PATCH", resource.path(namespace, name), body, APPLY, **query))

    def patch(
        self, api_version: str, kind: str, name: str, patch: Any, namespace: str | None = None, content: str = MERGE
    ) -> Object:
        """A JSON merge patch, or a JSON patch with `content=JSON_PATCH`."""
        path = self._find(api_version, kind).path(namespace, name)
        return dict(self._transport.request("PATCH", path, patch, content))

    def delete(
        self, api_version: str, kind: str, name: str, namespace: str | None = None, propagation: str = "Background"
    ) -> None:
        """Asks for the object to go; finalizers and grace periods may keep it for a while."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        self._transport.request("DELETE", self._find(api_version, kind).path(namespace, name), options)

    def evict(self, pod: str, namespace: str) -> None:
        """Asks for a pod to leave its node. Raises ApiError (code 429) when a disruption budget forbids it."""
        path = self._find("v1", "Pod").path(namespace, pod) + "/eviction"
        self._transport.request(
            "POST", path, {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
        )

    def events(self, namespace: str, name: str) -> list[Object]:
        """What the cluster noted about an object, oldest first."""
        found = self.items("v1", "Event", namespace, fields=f"involvedObject.name={name}")
        return sorted(found, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))

    def namespaced(self, api_version: str, kind: str) -> bool:
        """Whether objects of a kind live in namespaces. Raises NoSuchKindError."""
        return self._find(api_version, kind).namespaced

    def _find(self, api_version: str, kind: str) -> Resource:
        return self.discovery.find(api_version, kind)

    def _place(self, body: Object) -> tuple[Resource, str | None, str]:
        resource = self._find(body["apiVersion"], body["kind"])
        metadata = body["metadata"]
        namespace = metadata.get("namespace", "default") if resource.namespaced else None
        return resource, namespace, metadata.get("name", "")


def _dry(dry_run: bool) -> str:
    return "All" if dry_run else ""
