"""GPU nodes of a cluster."""

from collections.abc import Iterator

from infra.settings.draft import Draft
from infra.settings.kubernetes import NodePool
from infra.settings.translate import Finding


def pools(draft: Draft) -> Iterator[Finding]:
    """Servers select nodes by GPU type, so all pools of a type bear the same labels; a pool that buys knows what."""
    first: dict[str, tuple[str, NodePool]] = {}
    for name, pool in draft.settings.kubernetes.nodes.items():
        if not draft.sound("kubernetes", "nodes", name):
            continue
        if pool.karpenter is not None and not pool.karpenter.instances:
            example = "such as instances: [g6.xlarge]"
            yield (
                ("kubernetes", "nodes", name, "karpenter", "instances"),
                f"is empty; name what may be bought, {example}",
            )
        other, known = first.setdefault(pool.gpu, (name, pool))
        if pool.labels != known.labels:
            rule = f"its nodes are selected by other labels than those of '{other}', of the same GPU, {pool.gpu}"
            at = ("labels",) if pool.labels else ()
            yield ("kubernetes", "nodes", name, *at), f"{rule}; write the same labels in both"
