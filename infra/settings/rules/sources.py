"""Where weights may come from on which platform."""

from collections.abc import Iterator

from infra.settings.draft import Draft
from infra.settings.messages import Path, did_you_mean
from infra.settings.models import Engine
from infra.settings.settings import Platform
from infra.settings.source import Source
from infra.settings.translate import Finding
from serving.store.kit import EMBEDDINGS, KIT


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
            if not draft.sound(*at):
                continue
            engine = model.engine if draft.sound("models", name, "engine") else None
            way_out = _way_out(draft.platform, source, engine)
            if way_out:
                yield at, f"'{source}' cannot be loaded on {draft.platform}; {way_out}"


def _way_out(platform: Platform | None, source: Source, engine: Engine | None) -> str | None:
    if platform is Platform.LOCAL and source.scheme in ("hf", "s3"):
        return (
            "nothing is downloaded there: put the weights into the store or a folder, and write store://… or file:///…"
        )
    if platform is Platform.KUBERNETES and source.scheme == "store":
        known = _kit()
        if source.name in known:
            return None
        kit = f"of the store, pods have the kit's own models: {', '.join(known)}{did_you_mean(source.name, known)}"
        return f"{kit}; write one of them" if engine is Engine.LOCAL else f"{kit}; {_ELSEWHERE}"
    if platform is Platform.KUBERNETES and engine is Engine.LOCAL:
        return f"engine local serves the kit's own models in a cluster: write {_stores()}, or take another engine"
    if platform in (Platform.KUBERNETES, Platform.AWS) and source.scheme in ("store", "file"):
        return f"pods do not see this machine's folders: {_ELSEWHERE}"
    return None


_ELSEWHERE = "write hf://organisation/name@commit or s3://bucket/prefix"


def _stores() -> str:
    return " or ".join(f"store://{name}" for name in _kit())


def _kit() -> list[str]:
    """Names of the kit's own models."""
    return sorted((*(file.parent.name for file in KIT.glob("*/config.json")), EMBEDDINGS))
