"""What the provider reads from, and writes into, Kubernetes objects."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

AUTONAMED = "pulumi.com/autonamed"
SKIP_AWAIT = "pulumi.com/skipAwait"
WAIT_FOR = "pulumi.com/waitFor"
TIMEOUT_SECONDS = "pulumi.com/timeoutSeconds"
PATCH_FORCE = "pulumi.com/patchForce"
FIELD_MANAGER = "pulumi.com/patchFieldManager"
REPLACE_UNREADY = "pulumi.com/replaceUnready"
DELETION_POLICY = "pulumi.com/deletionPropagationPolicy"

# Groups that are part of Kubernetes. Objects of other groups are defined by CustomResourceDefinitions.
_BUILT_IN = {
    "",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
}


def group(item: Mapping[str, Any]) -> str:
    """`apps` of `apps/v1`; empty for the core group."""
    api_version = str(item.get("apiVersion", ""))
    return api_version.rpartition("/")[0]


def kind(item: Mapping[str, Any]) -> str:
    """Such as `apps/v1/Deployment`, or `v1/Service`."""
    return f"{item.get('apiVersion')}/{item.get('kind')}"


def is_built_in(item: Mapping[str, Any]) -> bool:
    """Whether its kind is part of Kubernetes."""
    return group(item) in _BUILT_IN


def is_definition(item: Mapping[str, Any]) -> bool:
    """Whether it is a CustomResourceDefinition."""
    return group(item) == "apiextensions.k8s.io" and item.get("kind") == "CustomResourceDefinition"


def name(item: Mapping[str, Any]) -> str:
    """Empty when it has none yet."""
    found = _metadata(item).get("name", "")
    return found if isinstance(found, str) else ""


def namespace(item: Mapping[str, Any]) -> str:
    """Empty when none is given."""
    found = _metadata(item).get("namespace", "")
    return found if isinstance(found, str) else ""


def annotation(item: Mapping[str, Any], key: str) -> str:
    """Empty when it is not there."""
    annotations = _metadata(item).get("annotations")
    found = annotations.get(key, "") if isinstance(annotations, dict) else ""
    return found if isinstance(found, str) else ""


def is_true(item: Mapping[str, Any], key: str) -> bool:
    """Whether an annotation says `true`."""
    return annotation(item, key) == "true"


def with_metadata(item: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    """A copy with these fields of its metadata set; None removes one."""
    copy = {**item, "metadata": {**_metadata(item), **fields}}
    copy["metadata"] = {key: value for key, value in copy["metadata"].items() if value is not None}
    return copy


def with_annotation(item: Mapping[str, Any], key: str, value: str) -> dict[str, Any]:
    """A copy with one more annotation."""
    return with_metadata(item, annotations={**(_metadata(item).get("annotations") or {}), key: value})


def identity(item: Mapping[str, Any]) -> str:
    """The engine's id: `namespace/name`, or `name` of what lives in no namespace."""
    return f"{namespace(item)}/{name(item)}" if namespace(item) else name(item)


def parse_identity(text: str) -> tuple[str, str]:
    """Namespace (may be empty) and name."""
    left, _, right = text.rpartition("/")
    return left, right


def at(item: Any, *path: str) -> Any:
    """A value deep in an object; None when it is not there."""
    for step in path:
        if not isinstance(item, dict):
            return None
        item = item.get(step)
    return item


def replaced_at(item: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """A copy with the value at a path, which is made where it is missing; None removes what is there."""
    copy = deepcopy(item)
    place = copy
    for step in path[:-1]:
        place = place.setdefault(step, {})
    if value is None:
        place.pop(path[-1], None)
    else:
        place[path[-1]] = value
    return copy


def _metadata(item: Mapping[str, Any]) -> dict[str, Any]:
    found = item.get("metadata")
    return found if isinstance(found, dict) else {}
