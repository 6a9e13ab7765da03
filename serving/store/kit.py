"""The models that come with the kit."""

import os
from collections.abc import Callable
from pathlib import Path

from serving.store.errors import RefusedError
from serving.store.folder import Version
from serving.store.location import KIT_FOLDER, KitModel
from serving.store.staging import stage

KIT = Path(__file__).parents[1] / "local_engine" / "models"
"""One folder a model, in Hugging Face's layout."""
EMBEDDINGS = "minilm"
"""Its weights are too large to ship; the toolchain fetches them (part `minilm`), images carry them."""
EMBEDDINGS_VARIABLE = "BERTH_MINILM"
"""Names the folder of those weights where an image carries them."""


def stage_kit(
    root: Path, *, minilm: Path | None = None, report: Callable[[str], None] | None = None
) -> tuple[Version, ...]:
    """Stage every kit model, and MiniLM where its folder is given. Quick when that was done before.

    Raises StoreError.
    """
    return tuple(stage(source, root, name=name, report=report) for name, source in _sources(minilm).items())


def stage_kit_model(model: KitModel, root: Path, *, report: Callable[[str], None] | None = None) -> Path:
    """Stage one kit model in the folder of a shared store that is the kit's; its folder, `root/location(source)`.

    Raises RefusedError when this kit has no such model, or another version of it.
    """
    carried = os.environ.get(EMBEDDINGS_VARIABLE)
    sources = _sources(Path(carried) if carried else None)
    if model.name not in sources:
        raise RefusedError(f"this kit has no model {model.name!r}; it has {', '.join(sorted(sources))}")
    found = stage(sources[model.name], root / KIT_FOLDER, name=model.name, report=report)
    if found.manifest.version != model.version:
        raise RefusedError(
            f"store://{model.name}@{model.version} was asked for, and this image carries {found}; "
            "use an image of the same release, or write that version"
        )
    return found.path


def _sources(minilm: Path | None) -> dict[str, Path]:
    sources = {path.parent.name: path.parent for path in sorted(KIT.glob("*/config.json"))}
    if minilm is not None:
        sources[EMBEDDINGS] = minilm
    return sources
