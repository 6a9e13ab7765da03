"""What the user of the context may do."""

from collections.abc import Iterator

from infra.cluster import Client
from infra.planning import Plan
from infra.platforms.kubernetes_checks.finding import CONTEXT, Finding
from infra.platforms.kubernetes_checks.needs import KINDS, WATCHED, Kind, extensions
from infra.settings import Settings

CHANGE = ("get", "create", "patch", "delete")
READ = ("list", "watch")


def rights(client: Client, settings: Settings, plan: Plan) -> Iterator[Finding]:
    """All that is lacking, in one finding: it is one request to whoever gives rights."""
    if client.may("*", "*", "*"):
        return
    namespace = settings.kubernetes.namespace
    asked = dict.fromkeys(extension.as_kind for _, _, extension in extensions(settings, plan))
    lacking: dict[str, list[str]] = {}
    for kinds, verbs in (((*KINDS, *asked), CHANGE), (WATCHED, READ)):
        for kind in kinds:
            missing = _missing(client, kind, verbs, namespace if kind.namespaced else "")
            if missing:
                scope = f"in namespace {namespace}" if kind.namespaced else "cluster-wide"
                lacking.setdefault(f"{', '.join(missing)} {scope}", []).append(kind.full_name)
    if lacking:
        target = client.target
        told = "; ".join(f"{what}: {', '.join(names)}" for what, names in lacking.items())
        yield Finding(
            CONTEXT,
            f"'{target.context}': user '{target.user_name}' may not {told}. Have these rights given, such as "
            f"ClusterRole admin in the namespace by a RoleBinding and the rest by a ClusterRole of their own",
        )


def _missing(client: Client, kind: Kind, verbs: tuple[str, ...], namespace: str) -> list[str]:
    if client.may("*", kind.group, kind.plural, namespace):
        return []
    return [verb for verb in verbs if not client.may(verb, kind.group, kind.plural, namespace)]
