"""The provider's answers as the engine wants them."""

from collections.abc import Mapping
from typing import Any

import grpc
import yaml

from tests.fakes.kubernetes_provider import checkpoint, differences, objects, properties
from tests.fakes.kubernetes_provider.decision import Decision
from tests.fakes.kubernetes_provider.normal import trimmed
from tests.fakes.kubernetes_provider.properties import Properties
from tests.fakes.kubernetes_provider.protocol import provider_pb2, status_pb2
from tests.fakes.kubernetes_provider.waits import NotReadyError

_FORGET = (
    "If the cluster was deleted, you can remove this resource from Pulumi state by rerunning the operation with the "
    'PULUMI_K8S_DELETE_UNREACHABLE environment variable set to "true"'
)
UNREACHABLE_READ = f"failed to read resource state due to unreachable cluster. {_FORGET}"
UNREACHABLE_DELETE = f"configured Kubernetes cluster is unreachable. {_FORGET}"
_KINDS = provider_pb2.PropertyDiff
_WRITTEN_BY_CONTROLLERS = ("deployment.kubernetes.io/revision", "kubectl.kubernetes.io/last-applied-configuration")


def kind_of(urn: str) -> tuple[str, str]:
    """`apps/v1`, `Deployment` of a URN; the core group is `v1`."""
    token = urn.split("::")[2].rpartition("$")[2]
    _, module, kind = token.split(":")
    return module.removeprefix("core/"), kind


def logical_name(urn: str) -> str:
    """What the program calls the resource."""
    return urn.rpartition("::")[2]


def is_unsupported(urn: str) -> bool:
    """Patches, lists, and what comes from Helm."""
    module, kind = kind_of(urn)
    return kind.endswith(("Patch", "List")) or module.startswith("helm.sh")


def unsupported(what: str) -> str:
    """The message for it."""
    return f"{what} is not in the test provider for kubernetes; see its README.md"


def difference(decision: Decision) -> Any:
    """All changes by path, and which of them replace."""
    detailed = {
        change.text: provider_pb2.PropertyDiff(
            kind=_KINDS.Kind.Value(f"{change.kind}_REPLACE" if change in decision.replacing else change.kind),
            inputDiff=change.kind == differences.DELETE,
        )
        for change in decision.changes
    }
    some = provider_pb2.DiffResponse.DIFF_SOME if detailed else provider_pb2.DiffResponse.DIFF_NONE
    return provider_pb2.DiffResponse(
        changes=some,
        replaces=[change.text for change in decision.changes if change in decision.replacing],
        deleteBeforeReplace=decision.delete_first,
        detailedDiff=detailed,
        hasDetailedDiff=True,
    )


def failed(context: Any, prefix: str, error: Exception) -> Any:
    """Nothing came of it."""
    context.abort(grpc.StatusCode.UNKNOWN, f"{prefix} by the Kubernetes API server: {error}")


def partial(
    context: Any, prefix: str, error: NotReadyError, inputs: Properties, manager: str, identity: str = ""
) -> Any:
    """It is there but not ready: the engine keeps it, with the reasons, and tries again next time."""
    message = f"{prefix}: {error}" if prefix else str(error)
    detail = provider_pb2.ErrorResourceInitFailed(
        id=identity or objects.identity(error.item),
        properties=properties.write(checkpoint.write(error.item, inputs, manager)),
        reasons=[message, *error.reasons],
        inputs=properties.write(inputs),
    )
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=message)
    status.details.add().Pack(detail)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(grpc.StatusCode.UNKNOWN, message)


def to_read(urn: str, identity: str, inputs: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Which object an id means."""
    namespace, name = objects.parse_identity(identity)
    source = inputs if inputs.get("kind") else known
    api_version, kind = (source["apiVersion"], source["kind"]) if source.get("kind") else kind_of(urn)
    item = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}}
    return objects.with_metadata(item, namespace=namespace or None)


def inputs_of(live: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
    """What a program would have to say to have the object as it is: as much as it said before, or all of it."""
    if old:
        return dict(differences.pruned(live, old))
    item = trimmed({name: value for name, value in live.items() if name != "status"})
    annotations = dict(objects.at(item, "metadata", "annotations") or {})
    for name in _WRITTEN_BY_CONTROLLERS:
        annotations.pop(name, None)
    return objects.with_metadata(item, annotations=annotations or None)


def decoded(arguments: Mapping[str, Any]) -> Any:
    """The documents of a YAML text; objects without a namespace get `defaultNamespace`."""
    documents = [item for item in yaml.safe_load_all(arguments["text"]) if item]
    namespace = arguments.get("defaultNamespace")
    if namespace:
        documents = [objects.with_metadata(item, namespace=objects.namespace(item) or namespace) for item in documents]
    answer = provider_pb2.InvokeResponse()
    getattr(answer, "return").CopyFrom(properties.write({"result": documents}))
    return answer
