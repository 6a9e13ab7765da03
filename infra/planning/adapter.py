"""From a stack's settings to what the planner is asked, and from the planner's problems back to lines of the file."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.planning.errors import PlanError, Problem, ShapeError, problem
from infra.planning.request import Demand, ModelRequest, Objectives
from infra.planning.shapes import Shape, Task, find_shape, read_shape, shape_from_folder
from serving.store.kit import EMBEDDINGS, KIT

if TYPE_CHECKING:
    from infra.settings import Settings

_KIT_NAMES = {EMBEDDINGS: "sentence-transformers/all-MiniLM-L6-v2"}
"""Kit models whose weights are fetched rather than shipped, by their names on the hub."""


def model_requests(settings: "Settings", store: Path | None = None) -> list[ModelRequest]:
    """Return what a stack asks for, in the order of the file.

    `store` is a model store's root, for models that are staged there. Raises PlanError with every model whose shape is
    not known.
    """
    requests: list[ModelRequest] = []
    problems: list[Problem] = []
    for name, model in settings.models.items():
        try:
            shape = _shape(name, model, store)
        except ShapeError as error:
            problems += error.problems
            continue
        traffic = model.traffic
        demand = None
        if traffic is not None:
            if shape.task is Task.GENERATE and traffic.output_tokens is None:
                problems.append(
                    problem(
                        f"models.{name}.traffic.output_tokens", None, "is missing", "set the mean tokens of an answer"
                    )
                )
                continue
            demand = Demand(
                traffic.requests_per_second, traffic.prompt_tokens, traffic.output_tokens or 0, traffic.prefix_hit_share
            )
        extra = (model.canary.replicas if model.canary else 0) + (model.shadow.replicas if model.shadow else 0)
        requests.append(
            ModelRequest(
                name=name,
                engine=str(model.engine),
                source=str(model.source),
                shape=shape,
                context=model.context,
                concurrency=model.concurrency,
                floor=model.replicas.min,
                ceiling=model.replicas.max,
                gpu=model.gpu,
                shards=model.shards,
                dtype=model.dtype,
                quantize=model.quantize,
                spot=model.spot,
                objectives=Objectives(
                    model.objectives.ttft_p95, model.objectives.itl_p95, model.objectives.availability
                ),
                demand=demand,
                max_output_tokens=model.max_output_tokens,
                memory_bytes=model.memory,
                options=dict(model.options),
                extra_replicas=extra,
                rollout=str(model.rollout),
            )
        )
    if problems:
        raise PlanError(problems)
    return requests


def located(settings: "Settings", error: PlanError) -> PlanError:
    """Return the error with file and line in front of every place that stands in the stack file."""
    return PlanError([_located(settings, found) for found in error.problems])


def _located(settings: "Settings", found: Problem) -> Problem:
    field = found.place.split(" ")[0].rstrip(":")
    origin = settings.problem(tuple(field.split(".")), "")
    line = f"{origin.file}:{origin.line}" if origin.line else origin.file
    return Problem(f"{line}: {found.place}", found.value, found.rule, found.way_out)


def _shape(name: str, model: Any, store: Path | None) -> Shape:
    place = f"models.{name}.source"
    if model.shape is not None:
        return read_shape(_plain(model.shape), f"models.{name}.shape")
    source = model.source
    readers: Mapping[str, Callable[[], Shape]] = {
        "store": lambda: _stored(source.name, store, place),
        "file": lambda: shape_from_folder(Path(source.name), place),
        "hf": lambda: find_shape(source.name, place),
        "s3": lambda: find_shape(source.name, place),
    }
    return readers[source.scheme]()


def _stored(name: str, store: Path | None, place: str) -> Shape:
    if (KIT / name / "config.json").is_file():
        return shape_from_folder(KIT / name, place)
    if name in _KIT_NAMES:
        return find_shape(_KIT_NAMES[name], place)
    if store is not None:
        for folder in sorted(store.glob(f"{name}/*/config.json")):
            return shape_from_folder(folder.parent, place)
    kit = ", ".join(sorted([*(file.parent.name for file in KIT.glob("*/config.json")), *_KIT_NAMES]))
    raise ShapeError(
        [
            problem(
                place,
                f"store://{name}",
                "is neither a kit model nor staged",
                f"stage it, or take one of the kit's: {kit}",
            )
        ]
    )


def _plain(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {key: _plain(below) for key, below in values.items()}
    return [_plain(below) for below in values] if isinstance(values, tuple) else values
