"""What can go wrong between a pinned part and a file that can be used."""


class ToolchainError(Exception):
    """A part could not be had, or the lock file is wrong. The message is for the person who waits."""


class WayError(Exception):
    """One way to a part does not work here; the next way is tried.

    `reason` says what happened, `remedy` (may be empty) what a person could do so that it works.
    """

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy
