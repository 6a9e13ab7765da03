"""Finding a field of the settings by its path."""

import types
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from infra.settings.kinds import Kind
from infra.settings.messages import Path
from infra.settings.section import Section


def section_at(root: type[Section], path: Path) -> type[Section] | None:
    """The section that a path leads to, or None where it leads to something else or nowhere."""
    found = _follow(root, path)
    bare = None if found is None else _bare(found)
    return bare if isinstance(bare, type) and issubclass(bare, Section) else None


def field_at(root: type[Section], path: Path) -> FieldInfo | None:
    """The field that a path leads to; None for an entry of a mapping or list, or a path that leads nowhere."""
    parent = section_at(root, path[:-1]) if path else None
    return parent.model_fields.get(str(path[-1])) if parent else None


def kind_at(root: type[Section], path: Path) -> Kind | None:
    """The kind of value that a path leads to, or None where it leads to a section, mapping or list."""
    field = field_at(root, path)
    if field is None:
        found = _follow(root, path)
        return None if found is None else _kind(found)
    return next((kind for kind in field.metadata if isinstance(kind, Kind)), None) or _kind(field.annotation)


def keys_at(root: type[Section], path: Path) -> Kind | None:
    """The kind of key of the mapping that a path leads to, or None where it leads to something else."""
    found = _follow(root, path)
    bare = None if found is None else _bare(found)
    return _kind(get_args(bare)[0]) if get_origin(bare) is dict else None


def _follow(annotation: Any, path: Path) -> Any:
    for part in path:
        bare = _bare(annotation)
        if isinstance(bare, type) and issubclass(bare, Section):
            field = bare.model_fields.get(str(part))
            if field is None:
                return None
            annotation = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
        elif get_origin(bare) is dict:
            annotation = get_args(bare)[1]
        elif get_origin(bare) is tuple:
            annotation = get_args(bare)[0]
        else:
            return None
    return annotation


def _layers(annotation: Any) -> list[Any]:
    # Annotated[X | None, …] and Annotated[X, …] | None, in any nesting, from the outside in.
    layers = [annotation]
    while True:
        origin = get_origin(layers[-1])
        if origin is Annotated:
            layers.append(get_args(layers[-1])[0])
        elif origin in (Union, types.UnionType):
            layers.append(next(arg for arg in get_args(layers[-1]) if arg is not types.NoneType))
        else:
            return layers


def _bare(annotation: Any) -> Any:
    return _layers(annotation)[-1]


def _kind(annotation: Any) -> Kind | None:
    for layer in _layers(annotation):
        for extra in getattr(layer, "__metadata__", ()):
            if isinstance(extra, Kind):
                return extra
    return None
