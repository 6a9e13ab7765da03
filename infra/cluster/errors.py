"""Why a cluster could not be read."""

from typing import Any


class ClusterError(Exception):
    """Any of the below."""


class AccessError(ClusterError):
    """The kubeconfig does not lead to a server: a file, name or login it speaks of is not there. Says which."""


class UnreachableError(ClusterError):
    """No answer: the server is down, is another one, cannot be reached from here, or its certificate is not trusted."""


class ApiError(ClusterError):
    """An answer of 4xx or 5xx: a Kubernetes `Status`."""

    def __init__(self, status: dict[str, Any]) -> None:
        super().__init__(str(status.get("message") or "no message"))
        self.code = int(status.get("code") or 0)

    @property
    def not_found(self) -> bool:
        """The object, its namespace or its kind is not there."""
        return self.code == 404

    @property
    def unknown_user(self) -> bool:
        """The login is not, or no longer, accepted."""
        return self.code == 401

    @property
    def forbidden(self) -> bool:
        """The user may not do this."""
        return self.code == 403
