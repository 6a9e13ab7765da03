"""The settings of one stack."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import Field, PrivateAttr

from infra.settings.aws import Aws
from infra.settings.gateway import Gateway
from infra.settings.kinds import choice
from infra.settings.kubernetes import Kubernetes
from infra.settings.local import Local
from infra.settings.messages import Path, Problem
from infra.settings.models import Model
from infra.settings.monitoring import Monitoring
from infra.settings.origins import Origin, place
from infra.settings.routing import Routing
from infra.settings.section import ByName, Section


class Platform(StrEnum):
    """Where a stack runs."""

    LOCAL = "local"
    KUBERNETES = "kubernetes"
    AWS = "aws"


class Settings(Section):
    """What the operator asked for: checked, complete, unchangeable."""

    platform: Annotated[Platform, choice(Platform, "a platform")] = Field(examples=["local"])
    """local (this machine), kubernetes (a cluster you have) or aws (a cluster the kit makes)."""
    models: ByName[Model] = Field(examples=["{chat: {engine: local, source: store://tiny-gpt2, context: 512}}"])
    """The models to serve, by the name that clients send as `model`."""
    gateway: Gateway = Gateway()
    """The one address in front of all models."""
    monitoring: Monitoring = Monitoring()
    """Metrics, alerts and logs."""
    local: Local = Local()
    """This machine; on platform local only."""
    kubernetes: Kubernetes = Kubernetes()
    """The cluster; on platforms kubernetes and aws."""
    aws: Aws | None = None
    """The account; required on platform aws, and only there."""

    _stack: str = PrivateAttr("")
    _origins: Mapping[Path, Origin] = PrivateAttr(default_factory=dict)

    @property
    def stack(self) -> str:
        """The stack's name."""
        return self._stack

    @property
    def origins(self) -> Mapping[Path, Origin]:
        """File and line of every value that was written in a file, by path."""
        return self._origins

    def routing_of(self, model: str) -> Routing:
        """The routing policy that holds for a model: its own, or the gateway's."""
        return self.models[model].routing or self.gateway.routing

    def problem(self, path: Path, text: str) -> Problem:
        """Something a later step found wrong with a value, placed at its line, to raise in a SettingsError."""
        origin = place(self._origins, path, stack_file(self._stack))
        return Problem(origin.file, origin.line, path, text)


def stack_file(stack: str) -> str:
    """A stack's file, relative to the repository, as Pulumi names it."""
    return f"stacks/Pulumi.{stack}.yaml"


KEYS = {f"berth:{name}": name for name in Settings.model_fields}
"""The config keys that hold the sections, and the sections' names."""

_ONLY_ON: dict[Path, tuple[Platform, ...]] = {
    ("local",): (Platform.LOCAL,),
    ("kubernetes",): (Platform.KUBERNETES, Platform.AWS),
    ("aws",): (Platform.AWS,),
    ("gateway", "port"): (Platform.LOCAL,),
    ("gateway", "host"): (Platform.KUBERNETES, Platform.AWS),
    ("gateway", "replicas"): (Platform.KUBERNETES, Platform.AWS),
    ("gateway", "certificate"): (Platform.KUBERNETES, Platform.AWS),
    ("monitoring", "prometheus_port"): (Platform.LOCAL,),
    ("kubernetes", "context"): (Platform.KUBERNETES,),
    ("kubernetes", "nodes"): (Platform.KUBERNETES,),
    ("models", "*", "memory"): (Platform.LOCAL,),
    ("models", "*", "rollout"): (Platform.KUBERNETES, Platform.AWS),
    ("models", "*", "scaling"): (Platform.KUBERNETES, Platform.AWS),
    ("models", "*", "spot"): (Platform.AWS,),
}


def platforms_for(path: Path) -> tuple[Platform, ...]:
    """The platforms that act on the value at a path; the others would ignore it."""
    general = ("models", "*", *path[2:]) if len(path) > 2 and path[0] == "models" else path
    return _ONLY_ON.get(general, tuple(Platform))
