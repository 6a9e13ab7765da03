"""What the gateway is asked to be, from settings and plan. Pure; the same on every platform."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from infra.planning import ModelPlan, Plan
from infra.settings import Settings
from serving import engines, gateway


def gateway_spec(settings: Settings, plan: Plan, *, port: int) -> gateway.GatewaySpec:
    """The gateway of a stack without its secrets: no tenants, providers without keys (see `private`).

    Its admin port is 0: the platform gives each gateway process its own.
    """
    return gateway.GatewaySpec(
        port=port,
        admin_port=0,
        models=tuple(_model(settings, model) for model in plan.models),
        tenants=(),
        providers=tuple(
            gateway.Provider(name, provider.url, provider.model, key="", timeouts=_timeouts(settings))
            for name, provider in settings.gateway.providers.items()
        ),
        workers=settings.gateway.workers,
        max_body_bytes=settings.gateway.max_body,
    )


def private(section: Mapping[str, Any], settings: Settings, own_keys: Mapping[str, str]) -> dict[str, Any]:
    """The secret part: tenants with digests of their keys, keys of providers by name.

    `section` is the config value `berth:gateway` with its secrets in plain; `own_keys` are keys that the kit made, by
    tenant.
    """
    tenants: list[dict[str, Any]] = [
        {"name": name, "key_digests": [gateway.digest(key)]} for name, key in sorted(own_keys.items())
    ]
    for name, tenant in settings.gateway.tenants.items():
        given = section["tenants"][name]
        keys = [given[field] for field in ("key", "next_key") if field in given]
        tenants.append(
            {
                "name": name,
                "key_digests": [gateway.digest(key) for key in keys],
                "requests_per_minute": tenant.requests_per_minute,
                "tokens_per_minute": tenant.tokens_per_minute,
                "priority": str(tenant.priority),
            }
        )
    keys_of_providers = {name: section["providers"][name]["key"] for name in settings.gateway.providers}
    return {"tenants": tenants, "provider_keys": keys_of_providers}


def _model(settings: Settings, plan: ModelPlan) -> gateway.Model:
    wanted, routing = settings.models[plan.model], settings.routing_of(plan.model)
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
        timeouts=_timeouts(settings),
        retries=gateway.Retries(
            attempts=settings.gateway.retries.attempts, budget_percent=settings.gateway.retries.budget
        ),
        hold=gateway.Hold(settings.gateway.hold.ttl, settings.gateway.hold.requests),
        tokens=gateway.Tokens(wanted.default_output_tokens, wanted.max_output_tokens)
        if plan.task == engines.Task.GENERATE
        else gateway.Tokens(),
        caps=_caps(settings),
        fallback=settings.gateway.fallback.get(plan.model, ()),
        canary_percent=wanted.canary.weight if wanted.canary else 0.0,
        shadow_percent=wanted.shadow.share if wanted.shadow else 0.0,
        # What all replicas can take or queue, and as much again: the engines' own 429 comes first.
        max_requests=2 * at_once * max(plan.ceiling, 1),
    )


def _caps(settings: Settings) -> gateway.Caps:
    wanted = settings.gateway.caps
    return gateway.Caps(
        choices=wanted.choices,
        stops=wanted.stop_sequences,
        top_tokens=wanted.top_tokens,
        grammar_bytes=wanted.grammar,
    )


def _timeouts(settings: Settings) -> gateway.Timeouts:
    wanted = settings.gateway.timeouts
    return gateway.Timeouts(**{field.name: getattr(wanted, field.name) for field in fields(gateway.Timeouts)})
