"""What a change of inputs changes, path by path."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.fakes.kubernetes_provider.normal import same
from tests.fakes.kubernetes_provider.properties import Unknown

ADD, DELETE, UPDATE = "ADD", "DELETE", "UPDATE"
_MISSING = object()
_QUOTED = set('."[]')


@dataclass(frozen=True, slots=True)
class Change:
    """One value that is added, deleted or updated."""

    path: tuple[str | int, ...]
    kind: str
    value: Any
    """The new one; None where it is deleted."""

    @property
    def text(self) -> str:
        """The path as the engine writes it: `spec.containers[0].image`, `metadata.annotations["a.b/c"]`."""
        text = ""
        for step in self.path:
            if isinstance(step, int):
                text += f"[{step}]"
            elif _QUOTED & set(step):
                quoted = step.replace('"', '\\"')
                text += f'["{quoted}"]'
            else:
                text += f".{step}" if text else step
        return text


def pruned(live: Any, inputs: Any) -> Any:
    """The part of a live object that the inputs speak of: what others added to it is no change of ours."""
    if isinstance(live, dict) and isinstance(inputs, dict):
        return {name: pruned(live[name], value) for name, value in inputs.items() if name in live}
    if isinstance(live, list) and isinstance(inputs, list):
        return [pruned(one, other) for one, other in zip(live, inputs, strict=False)]
    return live


def changes(old: Any, new: Any, *, built_in: bool) -> list[Change]:
    """From the pruned live object to the new inputs."""
    return list(_walk((), old, new, built_in=built_in))


def _walk(path: tuple[str | int, ...], old: Any, new: Any, *, built_in: bool) -> Iterator[Change]:
    if old is _MISSING:
        # The server leaves out of kinds that it knows what means nothing.
        if not (built_in and not new and not isinstance(new, Unknown)):
            yield Change(path, ADD, new)
    elif new is _MISSING:
        yield Change(path, DELETE, None)
    elif isinstance(old, dict) and isinstance(new, dict):
        for name in [*old, *(name for name in new if name not in old)]:
            yield from _walk((*path, name), old.get(name, _MISSING), new.get(name, _MISSING), built_in=built_in)
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            one, other = (items[index] if index < len(items) else _MISSING for items in (old, new))
            yield from _walk((*path, index), one, other, built_in=built_in)
    elif isinstance(new, Unknown) or not same(path, old, new, built_in=built_in):
        yield Change(path, UPDATE, new)
