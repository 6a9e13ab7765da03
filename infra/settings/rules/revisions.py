"""Canaries and shadows: second revisions of a model."""

from collections.abc import Iterator

from infra.settings.draft import Draft
from infra.settings.translate import Finding


def revisions(draft: Draft) -> Iterator[Finding]:
    """A second revision must be another one, and its servers need a name of their own."""
    for name, model in draft.settings.models.items():
        for role, revision in (("canary", model.canary), ("shadow", model.shadow)):
            if revision is None:
                continue
            at = ("models", name, role)
            if revision.source == model.source and draft.sound(*at, "source") and draft.sound("models", name, "source"):
                yield (*at, "source"), f"'{revision.source}' is what the model itself runs; name another revision"
            if f"{name}-{role}" in draft.names:
                yield at, f"takes the name '{name}-{role}', which is a model's; rename that model"
