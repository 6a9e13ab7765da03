"""The engine's protocol as the SDK ships it, without the rest of the SDK, whose import takes half a second."""

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
from google.protobuf.struct_pb2 import Struct  # type: ignore[import-untyped]  # noqa: E402
from pulumi.runtime.proto import (  # noqa: E402
    engine_pb2,
    engine_pb2_grpc,
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
    status_pb2,
)

__all__ = [
    "Empty",
    "Struct",
    "engine_pb2",
    "engine_pb2_grpc",
    "plugin_pb2",
    "provider_pb2",
    "provider_pb2_grpc",
    "status_pb2",
]
