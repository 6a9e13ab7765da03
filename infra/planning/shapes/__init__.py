"""Model shapes: what the planner must know of a model, read from its `config.json` without loading it."""

from infra.planning.shapes.families import FAMILIES, read_shape
from infra.planning.shapes.quantisation import Quantisation
from infra.planning.shapes.shape import Shape, Task
from infra.planning.shapes.sources import find_shape, known_models, shape_from_folder
from infra.planning.shapes.stored import stored_bytes

__all__ = [
    "FAMILIES",
    "Quantisation",
    "Shape",
    "Task",
    "find_shape",
    "known_models",
    "read_shape",
    "shape_from_folder",
    "stored_bytes",
]
