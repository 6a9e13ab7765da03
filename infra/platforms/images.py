"""The images of a stack on a cluster, by digest."""

from dataclasses import dataclass
from pathlib import Path

import pulumi

from images import lock
from infra.planning import ModelPlan, Plan
from infra.planning.catalogue import gpus
from serving import engines

LOADER = "store-loader"
"""Stages weights and verifies them."""
GATEWAY = "gateway"


@dataclass(frozen=True, slots=True)
class Images:
    """References with digests."""

    gateway: str
    loader: str
    servers: dict[str, str]
    """By name in the lock."""

    @classmethod
    def of(cls, plan: Plan, root: Path) -> "Images":
        """Those that a plan needs, from the project's lock. Raises `pulumi.RunError` with all that are not pinned."""
        if missing := lacking(plan, root):
            raise pulumi.RunError("\n".join(missing))
        path = _lock(root)
        servers = {name: lock.image(name, path) for name in sorted(map(name_of, plan.models))}
        return cls(lock.image(GATEWAY, path), lock.image(LOADER, path), servers)

    def server(self, model: ModelPlan) -> str:
        """The image of a model's server."""
        return self.servers[name_of(model)]


def lacking(plan: Plan, root: Path) -> list[str]:
    """For each image that a plan needs and the project's lock does not pin, what to do about it."""
    return lock.lacking({GATEWAY, LOADER, *map(name_of, plan.models)}, _lock(root))


def _lock(root: Path) -> Path:
    return root / "images" / lock.LOCK.name


def name_of(model: ModelPlan) -> str:
    """Its name in the lock."""
    capability = gpus()[model.gpu.type.partition(":")[0]].capability if model.gpu else None
    return engines.engine(model.engine).image(capability)
