"""The kinds of ways to a part, one a module."""

from typing import TypeAlias

from infra.toolchain.ways.base import Bench, Costs, Way
from infra.toolchain.ways.crate import Crate
from infra.toolchain.ways.deb import Deb
from infra.toolchain.ways.go_files import GoFiles
from infra.toolchain.ways.go_module import GoModule
from infra.toolchain.ways.on_path import Notebook, OnPath, outside
from infra.toolchain.ways.release import Release
from infra.toolchain.ways.wheel import Wheel

Getting: TypeAlias = type[Release] | type[Wheel] | type[Deb] | type[GoModule] | type[GoFiles] | type[Crate]
GETTING: dict[str, Getting] = {way.kind: way for way in (Release, Wheel, Deb, GoModule, GoFiles, Crate)}

__all__ = ["GETTING", "Bench", "Costs", "Notebook", "OnPath", "Way", "outside"]
