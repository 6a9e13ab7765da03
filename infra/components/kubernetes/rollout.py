"""How pods with new content take the place of the old ones."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

REVISION_LENGTH = 10
_SLACK_SECONDS = 120
"""For the controllers, the scheduler and the API server, on a busy day."""


class Rollout(StrEnum):
    """The choice of one model."""

    SURGE = "surge"
    """One more pod than wanted, never one less: costs the GPUs of one more replica, waits for them if need be."""
    IN_PLACE = "in_place"
    """One pod less than wanted, never one more: needs no GPU that is not there, costs the capacity of one replica."""
    BLUE_GREEN = "blue_green"
    """A second workload of full size; requests change over when all of it is ready. Costs all GPUs twice."""

    @property
    def surge(self) -> int:
        """Pods above the wanted number, within one workload."""
        return 0 if self is Rollout.IN_PLACE else 1

    @property
    def unavailable(self) -> int:
        """Pods below the wanted number, within one workload."""
        return 1 - self.surge

    def most(self, replicas: int) -> int:
        """Replicas that may exist at once while a model of that many is updated: what a GPU quota must allow."""
        return 2 * replicas if self is Rollout.BLUE_GREEN else replicas + self.surge

    def least(self, replicas: int) -> int:
        """Replicas that are ready at any moment of an update."""
        return replicas - self.unavailable


def revision(pods: Sequence[Mapping[str, Any]]) -> str:
    """A name for the content of pods: other content, other name; the order of keys does not count."""
    content = json.dumps(pods, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()[:REVISION_LENGTH]


def start_limit(cold_seconds: float, probe_seconds: int) -> int:
    """Seconds until one new pod must be ready: node, image and weights as planned, then the longest start."""
    return round(cold_seconds) + probe_seconds + _SLACK_SECONDS


def update_limit(rollout: Rollout, replicas: int, start: int, grace: int) -> int:
    """Seconds until an update must be over: one pod after the other, or all at once.

    The next pod may need the devices of the one that still drains, so each waits for a start and a drain.
    """
    if rollout is Rollout.BLUE_GREEN:
        return start
    return max(replicas, 1) * (start + grace)
