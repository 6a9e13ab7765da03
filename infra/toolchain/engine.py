"""The environment in which the Pulumi engine runs."""

import os
import sys
from pathlib import Path

from infra.toolchain.toolchain import HOSTS, Toolchain

PYTHON_VARIABLE = "BERTH_HOST_PYTHON"


def engine_env(toolchain: Toolchain | None = None) -> dict[str, str]:
    """The variables to lay over one's own environment so that `pulumi` is the pinned engine, which is got if missing.

    An engine that the machine has already, and an official release, bring their own Python host and fetch their
    plugins themselves. A source-built engine has neither: the small host of this kit joins it on PATH, and it is told
    not to look for plugins on a network that could not even give the engine.
    """
    engine = (toolchain or Toolchain()).get("pulumi")
    values = {"PULUMI_SKIP_UPDATE_CHECK": "1"}
    if engine.way == "path":
        return values
    folders = [engine.path.parent]
    if engine.way == "go":
        folders.append(HOSTS)
        values["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] = "1"
        values[PYTHON_VARIABLE] = sys.executable
    rest = [entry for entry in os.environ.get("PATH", os.defpath).split(os.pathsep) if Path(entry) not in folders]
    return {**values, "PATH": os.pathsep.join([*map(str, folders), *rest])}
