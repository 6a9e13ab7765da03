"""A plan on one screen."""

from collections.abc import Sequence

from infra.planning.catalogue import HOURS_A_MONTH
from infra.planning.delta import Delta
from infra.planning.migration import Migration
from infra.planning.plan import ModelPlan, Plan
from infra.planning.text import dollars, duration, size

_WIDTH = 110


def report(plan: Plan, *, change: Delta | None = None, migration: Migration | None = None) -> str:
    """Return the plan as text: models, nodes, reasons, notes, and what changes against the deployed plan."""
    lines = [_title(plan, change), ""]
    lines += _local(plan) if plan.platform == "local" else _cluster(plan)
    lines += ["", "why"]
    for model in plan.models:
        lines += _wrapped(f"  {model.model}: ", model.why)
    if plan.notes:
        lines += ["", "notes", *(line for note in plan.notes for line in _fold("  ", note))]
    if change is not None and change.changes:
        lines += ["", "changes"]
        lines += [f"  {found.model}: {found.what} ({_signed(found.hourly)}/h)" for found in change.changes]
    if migration is not None and migration.steps:
        lines += ["", *_migration(migration)]
    if plan.prices_of and plan.hourly:
        lines += ["", *_fold("", f"prices: {plan.prices_of}")]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _title(plan: Plan, change: Delta | None) -> str:
    if plan.platform == "local":
        return f"plan of {plan.stack} (this machine): {size(plan.memory_bytes)} of memory"
    where = f"{plan.platform} {plan.region}".strip()
    monthly = dollars(plan.hourly * HOURS_A_MONTH)
    text = f"plan of {plan.stack} ({where}): {dollars(plan.hourly)} an hour, {monthly} a month"
    return text if change is None else f"{text}, {_signed(change.hourly)} an hour against what is deployed"


def _signed(amount: float) -> str:
    return f"{'-' if amount < 0 else '+'}{dollars(abs(amount))}"


def _local(plan: Plan) -> list[str]:
    rows = [["model", "replicas", "memory each", "context", "at once", "queue"]]
    for model in plan.models:
        limits = model.limits
        rows.append(
            [
                model.model, _replicas(model), size(model.memory_bytes), str(limits.max_total_tokens),
                str(limits.max_concurrent_requests), str(limits.max_queued_requests),
            ]
        )  # fmt: skip
    return _table(rows)


def _cluster(plan: Plan) -> list[str]:
    rows = [
        [
            "model",
            "runs on",
            "replicas",
            "req/s",
            "load",
            "ttft p95",
            "itl p95",
            "start",
            "$/h",
            "$/Mtok",
            "at full",
            "idle",
        ]
    ]
    rows += [_row(model) for model in plan.models]
    lines = _table(rows)
    if plan.nodes:
        nodes = [["nodes", "", "gpus used", "$/h"]]
        for group in plan.nodes:
            cut = f", each GPU cut into {len(group.layout)} x {group.layout[0]}" if group.layout else ""
            nodes.append(
                [
                    f"{group.count} x {group.node_type}", f"{group.purchase.replace('_', ' ')}{cut}",
                    f"{group.gpus_used:g} of {group.gpus * group.count} {group.gpu.split(':')[0]}",
                    dollars(group.hourly),
                ]
            )  # fmt: skip
        lines += ["", *_table(nodes)]
    return lines


def _row(model: ModelPlan) -> list[str]:
    seen, spent = model.performance, model.cost
    device = "CPU" if model.gpu is None else model.gpu.type
    if model.gpu is not None and model.gpu.shards > 1:
        device = f"{model.gpu.shards} x {device}"
    row = [model.model, f"{device} ({model.engine})", _replicas(model)]
    if seen is None:
        row += ["-", "-", "-", "-"]
    else:
        row += [f"{seen.requests_per_second:g}", f"{seen.utilisation:.0%}", duration(seen.ttft_p95)]
        row.append(duration(seen.itl_p95) if seen.itl_p95 else "-")
    row.append(duration(model.startup.cold_seconds))
    if spent is None:
        return [*row, "-", "-", "-", "-"]
    row.append(dollars(spent.hourly))
    for amount in (spent.per_million_tokens, spent.per_million_at_saturation):
        row.append("-" if amount is None else dollars(amount))
    return [*row, f"{spent.idle_share:.0%}" if spent.per_million_tokens is not None else "-"]


def _replicas(model: ModelPlan) -> str:
    if model.floor == model.ceiling:
        return str(model.replicas)
    return f"{model.replicas} ({model.floor}-{model.ceiling})"


def _migration(migration: Migration) -> list[str]:
    most = ", ".join(f"{count} {gpu}" for gpu, count in sorted(migration.gpus_most.items()) if count)
    pays = (
        f"pays after {migration.pays_after_hours:.1f} h"
        if migration.pays_after_hours is not None
        else "saves nothing; it follows from what is asked"
    )
    head = f"migration: {len(migration.steps)} steps, {migration.minutes:.0f} min, at most {most}; {pays}"
    steps = []
    for number, step in enumerate(migration.steps, start=1):
        where = f"{step.node_type} ({step.purchase.replace('_', ' ')})"
        steps.append(f"  {number}. {step.action} {step.replicas} of {step.model} on {where}, {step.minutes:.0f} min")
    return [head, *steps]


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _wrapped(lead: str, sentences: Sequence[str]) -> list[str]:
    lines = []
    for number, sentence in enumerate(sentences):
        lines += _fold(lead if number == 0 else " " * len(lead), sentence)
    return lines


def _fold(lead: str, text: str) -> list[str]:
    lines, line = [], lead
    for word in text.split():
        if len(line) + len(word) + 1 > _WIDTH and line.strip():
            lines.append(line)
            line = " " * len(lead) + "  "
        line += word if line.endswith(" ") or not line else f" {word}"
    return [*lines, line]
