"""Model servers behind one adapter: `engine("tgi").command(replica)`."""

from serving.engines.base import (
    CONTAINER_PORT,
    Api,
    Container,
    Drain,
    Engine,
    EngineError,
    Limits,
    Option,
    Probes,
    Replica,
    Route,
    Task,
)
from serving.engines.metrics import MetricNames
from serving.engines.registry import ENGINES, engine

__all__ = [
    "CONTAINER_PORT",
    "ENGINES",
    "Api",
    "Container",
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
