"""Which kinds an API server serves, and where."""

import threading
from dataclasses import dataclass

from tests.support.kubernetes_api.errors import ApiError, NoSuchKindError
from tests.support.kubernetes_api.transport import Transport


@dataclass(frozen=True, slots=True)
class Resource:
    """Where the objects of one kind are."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool
    verbs: frozenset[str]

    def path(self, namespace: str | None, name: str = "") -> str:
        """Of the collection (in all namespaces when none is given) or of one object."""
        root = f"/api/{self.api_version}" if "/" not in self.api_version else f"/apis/{self.api_version}"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}{scope}/{self.plural}" + (f"/{name}" if name else "")


class Discovery:
    """The server's kinds, asked for once a version of a group; a kind that is missing is asked for again."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], Resource] = {}

    def find(self, api_version: str, kind: str) -> Resource:
        """Raises NoSuchKindError when the server does not serve it."""
        with self._lock:
            if (api_version, kind) not in self._known:
                self._known.update({(r.api_version, r.kind): r for r in self.of(api_version)})
            found = self._known.get((api_version, kind))
        if found is None:
            raise NoSuchKindError(f'no matches for kind "{kind}" in version "{api_version}"')
        return found

    def of(self, api_version: str) -> list[Resource]:
        """The kinds of one version of a group, as the server has them now; none when it does not have it."""
        root = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
        try:
            answer = self._transport.request("GET", root)
        except ApiError as error:
            if error.not_found:
                return []
            raise
        return [
            Resource(api_version, item["kind"], item["name"], item["namespaced"], frozenset(item.get("verbs", ())))
            for item in answer["resources"]
            # A name with a slash is a part of an object, such as deployments/scale.
            if "/" not in item["name"]
        ]

    def everything(self) -> list[Resource]:
        """All kinds in the version that the server prefers. Leaves out groups whose own server does not answer."""
        groups = self._transport.request("GET", "/apis")["groups"]
        versions = ["v1", *(group["preferredVersion"]["groupVersion"] for group in groups)]
        return [resource for version in versions for resource in self.of(version)]
