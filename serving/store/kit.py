"""The models that come with the kit."""

from collections.abc import Callable
from pathlib import Path

from serving.store.folder import Version
from serving.store.staging import stage

KIT = Path(__file__).parents[1] / "local_engine" / "models"
"""One folder a model, in Hugging Face's layout."""
EMBEDDINGS = "minilm"
"""Its weights are too large to ship; the toolchain fetches them (part `minilm`)."""


def kit_names() -> tuple[str, ...]:
    """Names of all kit models, as after `store://`."""
    return tuple(sorted((*(file.parent.name for file in KIT.glob("*/config.json")), EMBEDDINGS)))


def stage_kit(
    root: Path, *, minilm: Path | None = None, report: Callable[[str], None] | None = None
) -> tuple[Version, ...]:
    """Stage every kit model, and MiniLM where its folder is given. Quick when that was done before.

    Raises StoreError.
    """
    sources = {path.parent.name: path.parent for path in sorted(KIT.glob("*/config.json"))}
    if minilm is not None:
        sources[EMBEDDINGS] = minilm
    return tuple(stage(source, root, name=name, report=report) for name, source in sources.items())
