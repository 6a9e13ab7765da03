"""What belongs to which platform."""

from collections.abc import Iterator

from infra.settings.draft import Draft
from infra.settings.settings import Platform, platforms_for
from infra.settings.translate import Finding


def platform(draft: Draft) -> Iterator[Finding]:
    """Values that the stack's platform would ignore, and values that it lacks."""
    if draft.platform is None:
        return
    # Defaults lie under the stacks of all platforms; only what the stack itself says must fit.
    written = [path for path in draft.tree.origins if draft.written(*path)]
    foreign = {path for path in written if draft.platform not in platforms_for(path)}
    for path in foreign:
        if path[:-1] not in foreign:
            platforms = platforms_for(path)
            yield path, f"is for platform {' and '.join(platforms)}, but this stack's is {draft.platform}; remove it"
    if draft.platform is Platform.KUBERNETES and draft.settings.kubernetes.context is None:
        way_out = "name the kubeconfig's context, so that no other cluster is ever hit: {context: NAME}"
        yield ("kubernetes", "context"), f"is missing; {way_out}"
    if draft.platform is Platform.AWS and draft.settings.aws is None:
        yield ("aws",), "is missing; write berth:aws: {region: us-east-1}"
    if draft.platform is not Platform.LOCAL and draft.settings.gateway.host is None:
        yield ("gateway", "host"), "is missing; write the public name of the gateway, such as host: api.example.com"
    yield from _regions(draft)


def _regions(draft: Draft) -> Iterator[Finding]:
    theirs, ours = draft.others.value.get("aws:region"), draft.settings.aws
    if ours and draft.sound("aws", "region") and theirs not in (None, ours.region):
        yield (
            ("aws", "region"),
            f"'{ours.region}' is not the region in aws:region; write the same in both, or only here",
        )
