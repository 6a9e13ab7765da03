"""Options of the engines, as their adapters know them."""

from collections.abc import Iterator

from infra.settings.draft import Draft
from infra.settings.messages import one_of, shown
from infra.settings.models import Model
from infra.settings.translate import Finding
from serving.engines import ENGINES, Engine

# Also fields of a model: one value must not come from two places.
_FIELDS = ("dtype", "quantize")


def options(draft: Draft) -> Iterator[Finding]:
    """Options that an engine has not, that the kit sets itself, or whose value the engine would refuse."""
    for name, model in draft.settings.models.items():
        engine = ENGINES.get(model.engine)
        if engine is None or not draft.sound("models", name, "engine"):
            continue
        for option, text in _options(engine, model):
            yield ("models", name, "options", option), text


def _options(engine: Engine, model: Model) -> Iterator[tuple[str, str]]:
    for option, value in model.options.items():
        if option in _FIELDS:
            yield option, f"is a setting of the model; write {option} beside engine, not under options"
        elif option in engine.managed:
            yield option, f"is set by the kit; {engine.managed[option]}"
        elif option in engine.foreign:
            yield option, f"is not an option of engine {engine.name}; {engine.foreign[option]}"
        elif option not in engine.options:
            yield option, f"is not an option of engine {engine.name}; {one_of(option, sorted(engine.options))}"
        elif broken := engine.options[option].check(value):
            yield option, f"{shown(value)} is wrong: {broken}"
