"""Quotas that others have set on the namespace."""

from collections.abc import Iterator, Sequence

from infra.cluster import Client
from infra.components.kubernetes.labels import owned
from infra.planning import Plan
from infra.platforms.kubernetes_checks.finding import NAMESPACE, Finding, note
from infra.platforms.kubernetes_checks.needs import GpuNeed, gpu_needs
from infra.settings import Settings


def quotas(client: Client, settings: Settings, plan: Plan) -> Iterator[Finding]:
    """GPU quotas below what the stack takes. The stack's own follow the plan, so they are left out."""
    name = settings.kubernetes.namespace
    needs: dict[str, list[GpuNeed]] = {}
    for need in gpu_needs(settings, plan):
        needs.setdefault(need.resource, []).append(need)
    if not needs:
        return
    for quota in client.items("v1", "ResourceQuota", name):
        if owned(settings.stack).items() <= (quota["metadata"].get("labels") or {}).items():
            continue
        hard = quota["spec"].get("hard") or {}
        for resource, found in needs.items():
            allowed = hard.get(f"requests.{resource}")
            if allowed is not None:
                rule = f"'{name}': quota {quota['metadata']['name']} allows {allowed} {resource}"
                yield from _judged(rule, int(allowed), found)


def _judged(rule: str, allowed: int, needs: Sequence[GpuNeed]) -> Iterator[Finding]:
    planned, most = sum(need.planned for need in needs), sum(need.most for need in needs)
    if allowed < planned:
        shares = ", ".join(f"{model} {share}" for need in needs for model, share in need.models.items())
        way_out = f"have it raised to {most}, or lower replicas"
        yield Finding(NAMESPACE, f"{rule}, the stack takes {planned} ({shares}); {way_out}")
    elif allowed < most:
        yield note(NAMESPACE, f"{rule}: enough for the plan ({planned}), not for all replicas at their most ({most})")
