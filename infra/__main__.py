"""The Pulumi program: stack file → settings → plan → platform → outputs; and the plugin for other languages."""

import sys
from pathlib import Path

import pulumi

from infra import planning, platforms, settings
from infra.platforms import kubernetes_checks


def main() -> None:
    """Registers all resources of the selected stack."""
    try:
        wanted = settings.load(pulumi.get_stack(), Path(pulumi.get_root_directory()))
        plan = planning.plan(wanted, nodes=kubernetes_checks.nodes_to_plan_with(wanted))
        outputs = platforms.platform(wanted.platform).build(wanted, plan)
    except (settings.SettingsError, planning.PlanError, platforms.PlatformError) as error:
        raise pulumi.RunError(str(error)) from None
    for name, value in outputs.items():
        pulumi.export(name, value)


if sys.argv[1:]:
    # A plugin is given the engine's address, a program nothing.
    from infra.components import host

    host.serve()
else:
    main()
