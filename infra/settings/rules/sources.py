"""Where weights may come from on which platform."""

from collections.abc import Iterator

from infra.settings.draft import Draft
from infra.settings.messages import Path
from infra.settings.settings import Platform
from infra.settings.source import Source
from infra.settings.translate import Finding


def sources(draft: Draft) -> Iterator[Finding]:
    """Sources that a platform cannot reach."""
    for name, model in draft.settings.models.items():
        given: dict[Path, Source] = {("source",): model.source}
        if model.canary:
            given["canary", "source"] = model.canary.source
        if model.shadow:
            given["shadow", "source"] = model.shadow.source
        for path, source in given.items():
            at = ("models", name, *path)
            way_out = _way_out(draft.platform, source) if draft.sound(*at) else None
            if way_out:
                yield at, f"'{source}' cannot be loaded on {draft.platform}; {way_out}"


def _way_out(platform: Platform | None, source: Source) -> str | None:
    if platform is Platform.LOCAL and source.scheme in ("hf", "s3"):
        return (
            "nothing is downloaded there: put the weights into the store or a folder, and write store://… or file:///…"
        )
    if platform in (Platform.KUBERNETES, Platform.AWS) and source.scheme in ("store", "file"):
        return "pods do not see this machine's folders: write hf://organisation/name@commit or s3://bucket/prefix"
    return None
