"""Lines for the person who watches `pulumi up`."""

from typing import Any

import grpc

from tests.fakes.kubernetes_provider.protocol import engine_pb2, engine_pb2_grpc


class Engine:
    """The engine's side, as far as a provider needs it."""

    def __init__(self, address: str) -> None:
        self._stub: Any = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address)) if address else None

    def status(self, urn: str, text: str) -> None:
        """Beside the resource, until something else is said."""
        self._log(urn, text, engine_pb2.INFO, ephemeral=True)

    def info(self, urn: str, text: str) -> None:
        """Among the diagnostics."""
        self._log(urn, text, engine_pb2.INFO)

    def warn(self, urn: str, text: str) -> None:
        """Among the diagnostics, as a warning."""
        self._log(urn, text, engine_pb2.WARNING)

    def _log(self, urn: str, text: str, severity: Any, *, ephemeral: bool = False) -> None:
        if self._stub is not None:
            self._stub.Log(engine_pb2.LogRequest(severity=severity, message=text, urn=urn, ephemeral=ephemeral))
