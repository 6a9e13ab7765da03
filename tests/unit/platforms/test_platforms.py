import pytest

from infra.platforms import PlatformError, platform
from infra.settings import Platform


def test_a_platform_that_is_planned_only_names_those_that_are_deployed() -> None:
    with pytest.raises(PlatformError, match="aws can be planned but not deployed yet; deploy to local or kubernetes"):
        platform(Platform.AWS)
