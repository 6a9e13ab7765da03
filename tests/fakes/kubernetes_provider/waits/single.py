"""Pod and Job: it runs, or has run."""

from tests.fakes.kubernetes_provider import objects
from tests.fakes.kubernetes_provider.waits import pods
from tests.fakes.kubernetes_provider.waits.base import Wait


class PodWait(Wait):
    """Ready, or ended well."""

    def done(self) -> bool:
        """Whether it is."""
        return pods.is_true(self.item, "Ready") or objects.at(self.item, "status", "phase") == "Succeeded"

    def problems(self) -> list[str]:
        """Its own."""
        return pods.problems(self.api, [self.item])


class JobWait(Wait):
    """Complete; given up as soon as it has failed."""

    def done(self) -> bool:
        """All its completions ended well."""
        return pods.is_true(self.item, "Complete")

    def hopeless(self) -> bool:
        """It used up its retries or its time."""
        return pods.is_true(self.item, "Failed")

    def problems(self) -> list[str]:
        """The Job's own, then those of its pods."""
        failed = pods.condition(self.item, "Failed")
        own = [f"[{failed['reason']}] {failed['message']}"] if self.hopeless() else []
        return own + pods.problems(self.api, pods.owned(self.api, self.item))
