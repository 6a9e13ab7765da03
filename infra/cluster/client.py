"""An API server, read as one user. Not for several threads at once."""

import os
from collections.abc import Mapping
from typing import Any, TypeAlias

from infra.cluster.discovery import Discovery, Resource
from infra.cluster.errors import ApiError
from infra.cluster.kubeconfig import Target
from infra.cluster.login import login
from infra.cluster.transport import Transport

Object: TypeAlias = dict[str, Any]
"""A Kubernetes object as JSON."""

SECONDS = 10.0
"""What connecting, and then each answer, may take: a person waits."""
_PAGE = "500"


class Client:
    """What a context leads to."""

    def __init__(self, target: Target, environment: Mapping[str, str] = os.environ, seconds: float = SECONDS) -> None:
        """Raises AccessError for a login that cannot be had. Nothing is sent yet."""
        self.target = target
        self._transport = Transport(target, login(target, environment), seconds, environment)
        self.discovery = Discovery(self._transport)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection that is kept."""
        self._transport.close()

    def version(self) -> str:
        """The server's version, such as `v1.36.3`."""
        return str(self._transport.request("GET", "/version")["gitVersion"])

    def serves(self, api_version: str, kind: str) -> bool:
        """Whether there are objects of a kind."""
        return self.discovery.find(api_version, kind) is not None

    def find(self, api_version: str, kind: str, name: str, namespace: str = "") -> Object | None:
        """One object, None where it, or its kind, is not there. Raises ApiError (`forbidden`)."""
        resource = self.discovery.find(api_version, kind)
        if resource is None:
            return None
        try:
            return dict(self._transport.request("GET", resource.path(namespace, name)))
        except ApiError as error:
            if error.not_found:
                return None
            raise

    def find_any(self, group: str, kind: str, name: str) -> Object | None:
        """One object that belongs to no namespace, in whichever version its group is served."""
        for version in self.discovery.versions(group):
            if found := self.find(version, kind, name):
                return found
        return None

    def items(
        self, api_version: str, kind: str, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> list[Object]:
        """Objects of a namespace, or of all; none where the kind is not there. `labels` and `fields` are selectors."""
        resource = self.discovery.find(api_version, kind)
        return [] if resource is None else self.all_of(resource, namespace, labels=labels, fields=fields)

    def all_of(self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = "") -> list[Object]:
        """The same for a kind that is known, page by page."""
        found: list[Object] = []
        following = ""
        while True:
            answer = self._transport.request(
                "GET",
                resource.path(namespace),
                **{"labelSelector": labels, "fieldSelector": fields, "limit": _PAGE, "continue": following},
            )
            # Items of a list come without these two.
            found += [{"apiVersion": resource.api_version, "kind": resource.kind, **item} for item in answer["items"]]
            following = answer["metadata"].get("continue") or ""
            if not following:
                return found

    def may(self, verb: str, group: str, plural: str, namespace: str = "") -> bool:
        """Whether this user may do something (a SelfSubjectAccessReview, which changes nothing)."""
        attributes = {"verb": verb, "group": group, "resource": plural, "namespace": namespace}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        return bool(self._transport.request("POST", path, review)["status"].get("allowed"))

    def events(self, namespace: str, name: str) -> list[Object]:
        """What the cluster noted about an object, oldest first."""
        found = self.items("v1", "Event", namespace, fields=f"involvedObject.name={name}")
        return sorted(found, key=_time_of)


def _time_of(event: Object) -> str:
    series = event.get("series") or {}
    return str(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or "")


def label_query(labels: Mapping[str, str]) -> str:
    """Selects objects that bear all of these labels; empty for none."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
