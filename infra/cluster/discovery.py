"""Which kinds an API server serves, and where."""

from dataclasses import dataclass

from infra.cluster.errors import ApiError
from infra.cluster.transport import Transport


@dataclass(frozen=True, slots=True)
class Resource:
    """Where the objects of one kind are."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool
    verbs: frozenset[str]

    @property
    def group(self) -> str:
        """Empty for the core."""
        return self.api_version.rpartition("/")[0]

    @property
    def full_name(self) -> str:
        """As `kubectl` takes it without doubt: `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str = "", name: str = "") -> str:
        """Of the collection (in all namespaces when none is given) or of one object."""
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root(self.api_version)}{scope}/{self.plural}" + (f"/{name}" if name else "")


class Discovery:
    """The server's kinds, asked for once a version of a group."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._known: dict[str, list[Resource]] = {}

    def of(self, api_version: str) -> list[Resource]:
        """The kinds of one version of a group; none where the server does not have it."""
        if api_version not in self._known:
            self._known[api_version] = self._ask(api_version)
        return self._known[api_version]

    def find(self, api_version: str, kind: str) -> Resource | None:
        """One kind, None where the server does not serve it."""
        return next((resource for resource in self.of(api_version) if resource.kind == kind), None)

    def versions(self, group: str) -> list[str]:
        """Of a named group, the preferred one first; none where the server does not have it."""
        for found in self._transport.request("GET", "/apis")["groups"]:
            if found["name"] == group:
                preferred = found["preferredVersion"]["groupVersion"]
                return sorted((entry["groupVersion"] for entry in found["versions"]), key=lambda one: one != preferred)
        return []

    def everything(self) -> tuple[list[Resource], list[str]]:
        """All kinds in the version that the server prefers, and the groups that it names but that do not answer."""
        groups = self._transport.request("GET", "/apis")["groups"]
        found, silent = [], []
        for version in ("v1", *(group["preferredVersion"]["groupVersion"] for group in groups)):
            try:
                found += self.of(version)
            except ApiError:
                # An aggregated API whose own server is down answers 503.
                silent.append(version)
        return found, silent

    def _ask(self, api_version: str) -> list[Resource]:
        try:
            answer = self._transport.request("GET", root(api_version))
        except ApiError as error:
            if error.not_found:
                return []
            raise
        return [
            Resource(api_version, item["kind"], item["name"], item["namespaced"], frozenset(item.get("verbs") or ()))
            for item in answer["resources"]
            # A name with a slash is a part of an object, such as deployments/scale.
            if "/" not in item["name"]
        ]


def root(api_version: str) -> str:
    """Path of a version of a group."""
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
