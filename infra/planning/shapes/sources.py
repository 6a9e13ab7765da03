"""Finds the shape of a model by its source, offline: a folder with its config.json, or the list of known models."""

import difflib
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from infra.planning.errors import ShapeError, problem
from infra.planning.shapes.families import read_shape
from infra.planning.shapes.shape import Shape
from infra.planning.shapes.stored import stored_bytes

_MANIFEST = "manifest.json"


@cache
def known_models() -> Mapping[str, Mapping[str, Any]]:
    """Return the list of known models by hub name: `config`, and `published_bytes` with its `source`."""
    text = files("infra.planning.data").joinpath("models.json").read_text()
    models: Mapping[str, Mapping[str, Any]] = json.loads(text)["models"]
    return models


def find_shape(name: str, place: str) -> Shape:
    """Return the shape of a known model. Raises ShapeError that names the nearest known one and the other ways."""
    models = known_models()
    entry = models.get(name)
    if entry is None:
        near = difflib.get_close_matches(name, models, 1, 0.5)
        raise ShapeError(
            [
                problem(
                    place,
                    name,
                    "its shape is not known offline",
                    f"{f'nearest known: {near[0]}; ' if near else ''}"
                    "stage the model, or put its config.json into the stack file's shape or a local folder",
                )
            ]
        )
    stored = entry.get("published_bytes")
    if stored is not None:
        # GPT-2's published files carry causal masks, which no engine keeps.
        stored -= entry.get("published_buffer_bytes", 0)
    return read_shape(entry["config"], f"{place} ({name})", stored)


def shape_from_folder(folder: Path, place: str) -> Shape:
    """Return the shape of a model in a folder. Raises ShapeError when there is no config.json or it says too little."""
    file = folder / "config.json"
    if not file.is_file():
        raise ShapeError([problem(place, folder.name, "has no config.json", "stage the model with its config")])
    try:
        config = json.loads(file.read_text())
    except ValueError as error:
        raise ShapeError(
            [problem(place, folder.name, f"config.json is not JSON ({error})", "stage it again")]
        ) from error
    return read_shape(config, f"{place} ({folder.name}/config.json)", stored_bytes(folder))
