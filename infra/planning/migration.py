"""The way from the placement that runs to the one that is planned: ordered steps that each keep the objectives."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from infra.planning.errors import PlanError, Problem, problem
from infra.planning.plan import Assignment, NodeGroup, Plan

HORIZON_HOURS = 168.0
"""A migration pays when a week of its saving is more than what it costs once."""
_DRAIN_MINUTES = 3.0
"""Leave discovery, finish open streams, end: 10 s + 90 s + 30 s for TGI, and the node's own end."""

Spot = tuple[str, str, str, int]
"""Where replicas stand: node type, purchase, device, shards."""


@dataclass(frozen=True, slots=True)
class Step:
    """One change, finished before the next begins."""

    action: str
    """start or stop."""
    model: str
    replicas: int
    node_type: str
    purchase: str
    gpu: str
    minutes: float
    gpus_held: Mapping[str, int]
    """GPUs of all nodes while the step runs, by type."""


@dataclass(frozen=True, slots=True)
class Migration:
    """Steps, what they hold at most, and whether they pay."""

    steps: tuple[Step, ...] = ()
    minutes: float = 0.0
    gpus_most: Mapping[str, int] = field(default_factory=dict)
    saving_hourly: float = 0.0
    """Dollars an hour; below zero when the new placement costs more (more traffic, tighter objectives)."""
    cost_once: float = 0.0
    """Dollars for the nodes held beyond the cheaper of both placements while it runs."""
    pays_after_hours: float | None = None
    """None when it saves nothing."""

    @property
    def worthwhile(self) -> bool:
        """Return whether the saving pays for the migration within a week."""
        return self.pays_after_hours is not None and self.pays_after_hours <= HORIZON_HOURS


def migrate(before: Plan, after: Plan, quotas: Mapping[str, int] | None = None) -> Migration:
    """Return the steps from one plan to another. Raises PlanError when no order keeps objectives and quotas.

    New replicas come first wherever quotas leave room for their nodes; where they do not, one old replica ends first,
    if the others can carry the traffic without it.
    """
    walk = _Walk(before, after, dict(quotas or {}))
    while walk.open():
        if not (walk.start() or walk.stop()):
            raise PlanError(walk.blocked())
    minutes = sum(step.minutes for step in walk.steps)
    saving = before.hourly - after.hourly
    pays = walk.cost / saving if saving > 0 else None
    return Migration(
        tuple(walk.steps), round(minutes, 1), dict(walk.most), round(saving, 5), round(walk.cost, 4),
        None if pays is None else round(pays, 2),
    )  # fmt: skip


class _Walk:
    def __init__(self, before: Plan, after: Plan, quotas: Mapping[str, int]) -> None:
        self.before, self.after, self.quotas = before, after, quotas
        self.models = {model.model: model for model in (*before.models, *after.models)}
        self.old = {model.model: model for model in before.models}
        self.running = _standing(before.assignments)
        self.wanted = _standing(after.assignments)
        self.nodes = _groups((*before.nodes, *after.nodes))
        self.steps: list[Step] = []
        self.cost = 0.0
        self.most: Counter[str] = Counter(self._held())

    def open(self) -> bool:
        return self.running != self.wanted

    def start(self) -> bool:
        """Start missing replicas of one place: as many as quotas leave room for."""
        for (model, spot), count in sorted(self.wanted.items()):
            standing = self.running.get((model, spot), 0)
            for more in range(count - standing, 0, -1):
                self.running[model, spot] = standing + more
                if self._within_quotas():
                    self._record("start", model, more, spot, self.models[model].startup.cold_seconds / 60)
                    return True
            if standing:
                self.running[model, spot] = standing
            else:
                self.running.pop((model, spot), None)
        return False

    def stop(self) -> bool:
        """Stop replicas that are no longer wanted: as many as the rest can do without."""
        for (model, spot), count in sorted(self.running.items()):
            extra = count - self.wanted.get((model, spot), 0)
            while extra > 0 and not self._enough(model, spot, extra):
                extra -= 1
            if extra > 0:
                # Nodes are given back when the replicas have ended, so they are paid for and held until then.
                self._record("stop", model, extra, spot, _DRAIN_MINUTES)
                self.running[model, spot] = count - extra
                if not self.running[model, spot]:
                    del self.running[model, spot]
                return True
        return False

    def blocked(self) -> list[Problem]:
        """Return what would be needed to go on: room for the nodes of one more step."""
        problems = []
        for (model, spot), count in sorted(self.wanted.items()):
            if count > self.running.get((model, spot), 0):
                kind = spot[2].split(":")[0]
                standing = self.running.get((model, spot), 0)
                self.running[model, spot] = standing + 1
                needed, most = self._held()[kind], self.quotas.get(kind, 0)
                self.running[model, spot] = standing
                rule = f"leaves no room to start {model} on {spot[0]} before old replicas end, and none can be spared"
                problems.append(problem(f"aws.quotas.{kind}", most, rule, f"ask for {needed} while it moves"))
        return problems

    def _within_quotas(self) -> bool:
        held = self._held()
        return all(held[gpu] <= most for gpu, most in self.quotas.items())

    def _count(self, key: tuple[str, str, str]) -> int:
        """Return nodes of a group: as planned before or after, in between as many as the replicas on it fill."""
        here = {place: count for place, count in self.running.items() if place[1][:3] == key and count}
        for plan in (self.after, self.before):
            standing = {place: n for place, n in _standing(plan.assignments).items() if place[1][:3] == key}
            if here == standing:
                planned = _groups(plan.nodes).get(key)
                return planned.count if planned else 0
        group = self.nodes[key]
        units = sum(count * spot[3] for (_, spot), count in here.items())
        return -(-units // (group.gpus * max(1, len(group.layout))))

    def _enough(self, model: str, spot: Spot, fewer: int) -> bool:
        """Return whether the model's other replicas carry its traffic."""
        standing = {where: count for (who, where), count in self.running.items() if who == model}
        standing[spot] -= fewer
        planned = next((found for found in self.after.models if found.model == model), None)
        if planned is None:
            return True
        rate = planned.performance.requests_per_second if planned.performance else 0.0
        if not rate:
            return sum(standing.values()) >= min(planned.replicas, self._old_replicas(model))
        return sum(count * self._capacity(model, where) for where, count in standing.items()) >= rate * (1 - 1e-9)

    def _capacity(self, model: str, spot: Spot) -> float:
        for plan in (self.after, self.before):
            for found in plan.models:
                if (
                    found.model == model
                    and found.performance
                    and found.gpu
                    and (found.gpu.type, found.gpu.shards) == spot[2:]
                ):
                    return found.performance.replica_capacity
        return 0.0

    def _old_replicas(self, model: str) -> int:
        return self.old[model].replicas if model in self.old else 0

    def _held(self) -> Counter[str]:
        held: Counter[str] = Counter()
        for key, group in self.nodes.items():
            held[key[2].split(":")[0]] += group.gpus * self._count(key)
        return held

    def _hourly(self) -> float:
        return sum(group.hourly / max(1, group.count) * self._count(key) for key, group in self.nodes.items())

    def _record(self, action: str, model: str, replicas: int, spot: Spot, minutes: float) -> None:
        held = self._held()
        for gpu, count in held.items():
            self.most[gpu] = max(self.most[gpu], count)
        cheaper = min(self.before.hourly, self.after.hourly)
        self.cost += max(0.0, self._hourly() - cheaper) * minutes / 60
        self.steps.append(Step(action, model, replicas, spot[0], spot[1], spot[2], round(minutes, 1), dict(held)))


def _standing(assignments: Sequence[Assignment]) -> dict[tuple[str, Spot], int]:
    standing: dict[tuple[str, Spot], int] = {}
    for found in assignments:
        key = (found.model, (found.node_type, found.purchase, found.gpu, found.shards))
        standing[key] = standing.get(key, 0) + found.replicas
    return standing


def _key(group: NodeGroup) -> tuple[str, str, str]:
    return (group.node_type, group.purchase, group.gpu)


def _groups(nodes: Sequence[NodeGroup]) -> dict[tuple[str, str, str], NodeGroup]:
    return {_key(group): group for group in nodes}
