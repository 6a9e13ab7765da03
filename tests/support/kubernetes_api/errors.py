"""What an API server answers when it does not do what it was asked."""

from typing import Any


class UnreachableError(Exception):
    """No answer from the API server: it is down, is another server, or its certificate is not the one expected."""


class ApiError(Exception):
    """An answer of 4xx or 5xx: a Kubernetes `Status`."""

    def __init__(self, status: dict[str, Any]) -> None:
        super().__init__(str(status.get("message", "no message")))
        self.code = int(status.get("code", 0))
        self.reason = str(status.get("reason", ""))
        self.details: dict[str, Any] = status.get("details") or {}

    @property
    def not_found(self) -> bool:
        """The object, its namespace or its kind is not there."""
        return self.code == 404

    @property
    def already_exists(self) -> bool:
        """An object of that name is there."""
        return self.reason == "AlreadyExists"

    @property
    def conflict(self) -> bool:
        """Another field manager owns a field, or the object changed meanwhile."""
        return self.reason == "Conflict"

    @property
    def invalid(self) -> bool:
        """The object breaks the rules of its kind."""
        return self.reason == "Invalid"

    @property
    def causes(self) -> list[str]:
        """Each broken rule as `field: message`."""
        return [f"{cause.get('field', '')}: {cause.get('message', '')}" for cause in self.details.get("causes", [])]


class NoSuchKindError(Exception):
    """The API server knows no such kind: its CustomResourceDefinition is not there (yet)."""
