"""What an engine would refuse of a plan, asked of its adapter before anything is paid for."""

from infra.planning.errors import PlanError, Problem, problem
from infra.planning.plan import ModelPlan, Plan
from serving.engines import CONTAINER_PORT, EngineError, Replica, engine

_WAY_OUT = "change what is named, or the engine: serving/engines/README.md tells them apart"


def check_engines(plan: Plan) -> Plan:
    """Return the plan. Raises PlanError with every reason why a model's engine would not start as planned."""
    problems = [found for model in plan.models for found in _problems(model)]
    if problems:
        raise PlanError(problems)
    return plan


def planned_replica(model: ModelPlan, weights: str = "", port: int | str = CONTAINER_PORT) -> Replica:
    """Return one replica of a planned model as its engine's adapter takes it."""
    return Replica(
        model=model.model,
        weights=weights,
        port=port,
        limits=model.limits,
        shards=model.gpu.shards if model.gpu else 1,
        options=model.options,
        gpu=model.gpu is not None,
    )


def _problems(model: ModelPlan) -> list[Problem]:
    try:
        engine(model.engine).check(planned_replica(model))
    except EngineError as error:
        prefix = f"{model.model} on engine {model.engine}: "
        lines = [line.removeprefix(prefix) for line in str(error).splitlines()]
        return [problem(f"models.{model.model}.engine", model.engine, line, _WAY_OUT) for line in lines]
    return []
