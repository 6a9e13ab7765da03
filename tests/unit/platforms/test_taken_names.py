from infra.components.kubernetes import names
from infra.settings.rules.models import TAKEN


def test_settings_refuse_the_names_that_a_namespace_has_taken() -> None:
    assert set(TAKEN) == names.TAKEN
