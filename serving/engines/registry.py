"""The engines that a stack file can name."""

from serving.engines.base import Engine, EngineError, suggestion
from serving.engines.local import LocalEngine
from serving.engines.tei import TeiEngine
from serving.engines.tgi import TgiEngine
from serving.engines.vllm import VllmEngine

ENGINES: dict[str, Engine] = {made.name: made for made in (LocalEngine(), TgiEngine(), VllmEngine(), TeiEngine())}


def engine(name: str) -> Engine:
    """The adapter called `name`; EngineError with a suggestion when there is none."""
    try:
        return ENGINES[name]
    except KeyError:
        raise EngineError(f"unknown engine {name!r}{suggestion(name, ENGINES)}") from None
