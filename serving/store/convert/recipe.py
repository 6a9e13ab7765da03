"""How each model family is stored: which converter, which number format, how many tokens of context."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

Config = Mapping[str, Any]
"""config.json."""

CT2_FOLDER = "ct2"
"""Where in a version CTranslate2's own files lie; it has a config.json too."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """One family's way into the store."""

    task: str
    """serving.engines.Task"""
    fingerprint: str
    """Changes when the same source would be converted differently."""
    build: Callable[[Path, Config, Path], None]
    """Writes the weights of a source folder into a version's folder."""
    context_tokens: Callable[[Path, Config], int]
    """From the version's folder and config.json."""


def _ct2(module: str, quantization: str | None) -> Callable[[Path, Config, Path], None]:
    def build(source: Path, config: Config, version_folder: Path) -> None:
        # By name: importing it loads CTranslate2, which takes 0.3 s, and a staged model needs no conversion.
        converter = import_module(f"serving.store.convert.{module}")
        spec = converter.spec(config, load_file(source / "model.safetensors"), source)
        spec.validate()
        spec.optimize(quantization=quantization)
        folder = version_folder / CT2_FOLDER
        folder.mkdir()
        spec.save(str(folder))

    return build


def _copy(source: Path, _config: Config, version_folder: Path) -> None:
    shutil.copyfile(source / "model.safetensors", version_folder / "model.safetensors")


def _sentence_length(version_folder: Path, config: Config) -> int:
    """What the model was trained on (sentence_bert_config.json), if it says so, else how many positions it has."""
    positions = int(config["max_position_embeddings"])
    path = version_folder / "sentence_bert_config.json"
    if not path.is_file():
        return positions
    return min(positions, int(json.loads(path.read_text(encoding="utf-8"))["max_seq_length"]))


_CT2 = f"ctranslate2-{version('ctranslate2')}"

RECIPES: dict[str, Recipe] = {
    # fp32: the same greedy tokens as transformers; int8 diverges and saves 6 MB.
    "gpt2": Recipe(
        "generate", f"gpt2/1 {_CT2} float32", _ct2("gpt2", None), lambda _, config: int(config["n_positions"])
    ),
    "t5": Recipe(
        "generate", f"t5/1 {_CT2} float32", _ct2("t5", None), lambda _, config: int(config.get("n_positions", 512))
    ),
    "bert": Recipe("embed", f"bert/1 {_CT2} int8", _ct2("bert", "int8"), _sentence_length),
    # Its own format (serving.local_engine.ngram). It has no positions: the limit is the protocol's, like the decoder's.
    "ngram": Recipe("generate", "ngram/1", _copy, lambda _, config: int(config.get("context_tokens", 512))),
}
