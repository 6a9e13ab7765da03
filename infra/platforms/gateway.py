"""What the gateway is asked to be, from settings and plan. Pure; the same on every platform."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from infra.planning import ModelPlan, Plan
from infra.settings import Settings
from serving import engines, gateway


def gateway_spec(
    settings: Settings, plan: Plan, *, port: int, tenants: Sequence[gateway.Tenant]
) -> gateway.GatewaySpec:
    """The gateway of a stack. Its admin port is 0: the platform gives each gateway process its own."""
    return gateway.GatewaySpec(
        port=port,
        admin_port=0,
        models=tuple(_model(settings, model) for model in plan.models),
        tenants=tuple(tenants),
        workers=settings.gateway.workers,
        max_body_bytes=settings.gateway.max_body,
    )


def _model(settings: Settings, plan: ModelPlan) -> gateway.Model:
    routing = settings.routing_of(plan.model)
    at_once = plan.limits.max_concurrent_requests + plan.limits.max_queued_requests
    return gateway.Model.of(
        plan.model,
        engines.engine(plan.engine),
        engines.Task(plan.task),
        routing=gateway.Routing(
            policy=gateway.Policy(routing.policy),
            **({"on": gateway.HashOn(routing.on)} if routing.on else {}),
            header=routing.header,
            bounded_load=routing.bounded_load,
        ),
        timeouts=_same_fields(settings.gateway.timeouts, gateway.Timeouts),
        retries=gateway.Retries(
            attempts=settings.gateway.retries.attempts, budget_percent=settings.gateway.retries.budget
        ),
        # What all replicas can take or queue, and as much again: the engines' own 429 comes first.
        max_requests=2 * at_once * max(plan.ceiling, 1),
    )


def _same_fields(section: Any, into: type[gateway.Timeouts]) -> gateway.Timeouts:
    return into(**{field.name: getattr(section, field.name) for field in fields(into)})
