"""The platforms that a stack file can name."""

from infra.platforms.base import Endpoint, Outputs, Platform
from infra.settings import Platform as Name

__all__ = ["Endpoint", "Outputs", "Platform", "PlatformError", "platform"]


class PlatformError(ValueError):
    """A platform that cannot be deployed to; the message says which can."""


def platform(name: Name) -> Platform:
    """The platform of that name. Raises PlatformError for one that this version does not deploy to yet."""
    match name:
        case Name.LOCAL:
            from infra.platforms.local import LocalPlatform  # noqa: PLC0415 - not the SDK of the other platform

            return LocalPlatform()
        case Name.KUBERNETES:
            # Only where it is wanted: the SDK of Kubernetes takes a second and a hundred megabytes.
            from infra.platforms.kubernetes import KubernetesPlatform  # noqa: PLC0415

            return KubernetesPlatform()
        case _:
            raise PlatformError(f"platform {name} can be planned but not deployed yet; deploy to local or kubernetes")
