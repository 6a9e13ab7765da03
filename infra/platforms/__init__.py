"""The platforms that a stack file can name."""

from infra.platforms.base import Endpoint, Outputs, Platform
from infra.platforms.local import LocalPlatform
from infra.settings import Platform as Name

__all__ = ["Endpoint", "Outputs", "Platform", "platform"]


def platform(name: Name) -> Platform:
    """The platform of that name. Raises NotImplementedError for one that this version does not deploy to yet."""
    match name:
        case Name.LOCAL:
            return LocalPlatform()
        case _:
            raise NotImplementedError(f"platform {name} can be planned but not deployed yet; deploy to local")
