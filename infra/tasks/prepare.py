"""What must be on the machine before a stack can come up: external programs and the weights that ship with the kit."""

import time

from infra import toolchain
from infra.tasks.engine import say
from serving import store

PARTS = ("pulumi", "envoy", "picker", "prometheus")


def prepare() -> None:
    """Fetches or builds what is missing; a second's look where everything is there."""
    started = time.monotonic()
    for part in PARTS:
        toolchain.ensure(part)
    root = store.default_root()
    for version in store.stage_kit_models(root, minilm=toolchain.ensure("minilm")):
        say(f"weights {version} in the model store") if version.new else None
    say(f"programs and weights are there ({time.monotonic() - started:.1f} s)")
