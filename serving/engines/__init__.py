"""Model servers behind one adapter: `engine("tgi").command(replica)`."""

from serving.engines.base import (
    Api,
    Drain,
    Engine,
    EngineError,
    Limits,
    MetricNames,
    Option,
    Probes,
    Replica,
    Route,
    Task,
)
from serving.engines.registry import ENGINES, engine

__all__ = [
    "ENGINES",
    "Api",
    "Drain",
    "Engine",
    "EngineError",
    "Limits",
    "MetricNames",
    "Option",
    "Probes",
    "Replica",
    "Route",
    "Task",
    "engine",
]
