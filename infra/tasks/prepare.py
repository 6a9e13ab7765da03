"""What must be on the machine before a stack can come up: external programs and the weights that ship with the kit."""

import time

from infra import toolchain
from infra.places import store_root
from infra.platforms import weights
from infra.settings import Platform, Settings
from infra.tasks.engine import say
from serving import store

PROGRAMS = ("pulumi", "envoy", "picker", "prometheus")


def prepare(settings: Settings) -> None:
    """Fetches or builds what is missing; a second's look where everything is there.

    Raises `toolchain.ToolchainError`, `store.StoreError` or `SettingsError`.
    """
    started = time.monotonic()
    if settings.platform is not Platform.LOCAL:
        toolchain.ensure("pulumi")
        if any(source.scheme == "store" for _, source in weights.sources(settings)):
            # Their versions are in the names of the folders that the cluster's store will have.
            store.stage_kit(store_root(), minilm=toolchain.ensure("minilm"), report=say)
        return
    for program in PROGRAMS:
        toolchain.ensure(program)
    store.stage_kit(store_root(), minilm=toolchain.ensure("minilm"), report=say)
    weights.stage(settings, say)
    say(f"programs and weights are there ({time.monotonic() - started:.1f} s)")
