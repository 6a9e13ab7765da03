"""Rules that look at several values at once. Each yields a place and what is wrong there; none raises."""

from collections.abc import Callable, Iterator

from infra.settings.draft import Draft
from infra.settings.rules.fallback import fallback
from infra.settings.rules.gateway import gateway
from infra.settings.rules.models import models
from infra.settings.rules.options import options
from infra.settings.rules.platform import platform
from infra.settings.rules.pools import pools
from infra.settings.rules.ports import ports
from infra.settings.rules.revisions import revisions
from infra.settings.rules.routing import routing
from infra.settings.rules.scaling import scaling
from infra.settings.rules.sources import sources
from infra.settings.translate import Finding

RULES: tuple[Callable[[Draft], Iterator[Finding]], ...] = (
    platform,
    models,
    options,
    sources,
    revisions,
    scaling,
    routing,
    gateway,
    fallback,
    ports,
    pools,
)
"""All rules, in the order in which a reader would ask them; the errors are sorted by line afterwards."""
