"""What changes when a model moves from one engine to another, as tables: `python -m serving.engines tgi vllm`."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields

from serving.engines.base import CONTAINER_PORT, Engine, EngineError, Limits, Replica, Route, Task
from serving.engines.metrics import MetricNames
from serving.engines.registry import engine

_LIMITS = Limits(
    max_input_tokens=3001,
    max_total_tokens=4001,
    max_concurrent_requests=11,
    max_queued_requests=22,
    max_batch_prefill_tokens=5001,
)
"""Values that are told apart in a command or an environment."""
_SHARDS = 4


def tables(old_name: str, new_name: str, task: Task = Task.GENERATE) -> str:
    """Tables in Markdown: options, limits, probes, drain, metrics, routes. Raises EngineError for unknown engines."""
    old, new = engine(old_name), engine(new_name)
    return "\n\n".join(
        f"### {title}\n\n{_table((head, old_name, new_name), rows)}"
        for title, head, rows in (
            ("Options", "option", _options(old, new)),
            ("Limits", "of the plan", _limits(old, new)),
            ("Probes and drain", "contract", _contract(old, new)),
            ("Metrics", "role", _metrics(old.metrics(task), new.metrics(task))),
            ("Routes", "route", _routes(old.routes(task), new.routes(task))),
        )
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, str, str]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _options(old: Engine, new: Engine) -> Iterator[tuple[str, str, str]]:
    for name, option in sorted(old.options.items()):
        if name in new.options:
            yield f"`{name}`", option.help, "the same"
        elif name in new.foreign:
            yield f"`{name}`", option.help, new.foreign[name]
        else:
            yield f"`{name}`", option.help, "none"
    yield from ((f"`{name}`", "none", new.options[name].help) for name in sorted(set(new.options) - set(old.options)))


def _limits(old: Engine, new: Engine) -> Iterator[tuple[str, str, str]]:
    asked: dict[str, object] = {field.name: getattr(_LIMITS, field.name) for field in fields(Limits)}
    at_once = _LIMITS.max_concurrent_requests + _LIMITS.max_queued_requests
    asked |= {"running and queued together": at_once, "shards": _SHARDS, "model": "NAME", "weights": "FOLDER"}
    for what, value in asked.items():
        cells = (_set_by(made, str(value)) for made in (old, new))
        yield (what, *cells)  # type: ignore[misc]


def _set_by(made: Engine, value: str) -> str:
    """By which flags and variables an engine learns a value."""
    replica = Replica("NAME", "FOLDER", CONTAINER_PORT, _LIMITS, shards=_SHARDS)
    command, env = made.container_command(replica), made.container_env(replica)
    flags = [f"`{flag}`" for flag, given in itertools.pairwise(command) if given == value and flag[0] == "-"]
    names = [f"`{name}`" for name, given in env.items() if given == value]
    plain = ["argument"] if value in command and not flags else []
    return ", ".join([*flags, *names, *plain]) or "-"


def _contract(old: Engine, new: Engine) -> Iterator[tuple[str, str, str]]:
    def row(what: str, of: Callable[[Engine], object]) -> tuple[str, str, str]:
        return what, str(of(old)), str(of(new))

    yield row("health path", lambda made: f"`{made.probes.path}`")
    yield row("seconds between probes", lambda made: made.probes.period_seconds)
    yield row("failed probes until a restart", lambda made: made.probes.failures)
    yield row("seconds between leaving discovery and the signal", lambda made: made.drain.prestop_seconds)
    yield row("seconds for open requests after the signal", lambda made: made.drain.engine_seconds)
    yield row("grace period, seconds", lambda made: made.drain.grace_seconds)
    yield row("nodes of one replica", lambda made: "several" if _spans(made) else "one")


def _spans(made: Engine) -> bool:
    try:
        made.worker_command(Replica("NAME", "FOLDER", CONTAINER_PORT, _LIMITS, shards=2, hosts=2))
    except EngineError:
        return False
    return True


def _metrics(old: MetricNames, new: MetricNames) -> Iterator[tuple[str, str, str]]:
    for field in fields(MetricNames):
        cells = [_cell(getattr(names, field.name)) for names in (old, new)]
        if cells != ["-", "-"]:
            yield field.name, *cells  # type: ignore[misc]


def _cell(value: str | tuple[str, ...] | None) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"`{each}`" for each in value) or "-"
    return f"`{value}`" if value else "-"


def _routes(old: tuple[Route, ...], new: tuple[Route, ...]) -> Iterator[tuple[str, str, str]]:
    for route in sorted({*old, *new}, key=lambda route: (route.api, route.path, route.method)):
        prefix = "" if route.api == "openai" else "/models/NAME"
        cells = ("yes" if route in routes else "no" for routes in (old, new))
        yield f"`{route.method} {prefix}{route.path}`", *cells  # type: ignore[misc]
