"""The engine's protocol as the SDK ships it, without the rest of the SDK.

Importing `pulumi` takes 0.4 s, a good part of a short `pulumi preview`, and the host needs none of it: so the two
packages above the stubs are entered as empty ones.
"""

import importlib.util
import sys
from types import ModuleType

for _name in ("pulumi", "pulumi.runtime"):
    if _name not in sys.modules:
        _spec = importlib.util.find_spec(_name)
        if _spec is None or _spec.submodule_search_locations is None:
            raise ImportError(f"{sys.executable} has no Pulumi SDK")
        sys.modules[_name] = ModuleType(_name)
        sys.modules[_name].__path__ = list(_spec.submodule_search_locations)

from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]  # noqa: E402
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2  # noqa: E402

__all__ = ["Empty", "language_pb2", "language_pb2_grpc", "plugin_pb2"]
