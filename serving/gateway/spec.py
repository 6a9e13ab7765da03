"""What a gateway is asked to be: plain, frozen values, which the builders turn into Envoy's configuration."""

from dataclasses import dataclass

from serving.gateway.model import Model
from serving.gateway.peers import Peers
from serving.gateway.provider import Provider
from serving.gateway.rules import errors
from serving.gateway.tenant import Tenant


class SpecError(ValueError):
    """A gateway that cannot be; `str()` lists every reason, one a line."""


@dataclass(frozen=True, slots=True)
class GatewaySpec:
    """The one address in front of all models."""

    port: int
    admin_port: int
    """On 127.0.0.1 whatever `host` is."""
    models: tuple[Model, ...]
    tenants: tuple[Tenant, ...]
    providers: tuple[Provider, ...] = ()
    peers: Peers | None = None
    """None: this gateway is the only one."""
    host: str = "127.0.0.1"
    access_log: str = "/dev/stdout"
    """A file, one JSON object a request. Not in the folder of the configuration, which Envoy watches: every line would
    wake its main thread."""
    workers: int = 2
    """Worker threads."""
    max_body_bytes: int = 10_000_000
    max_connections: int = 20_000
    """From clients; more are closed at once."""
    max_heap_bytes: int = 1 << 30
    """Envoy sheds load as its heap comes near this."""
    header_seconds: float = 5.0
    """From the first byte of a request to its last header; later ones get 408."""
    body_seconds: float = 30.0
    """For a whole request, body included; later ones get 408. Answers take as long as they like."""
    idle_seconds: float = 60.0
    """A client's connection without a request is closed after this."""
    trusted_proxies: int = 0
    """Proxies in front whose X-Forwarded-For is believed."""
    drain_seconds: int = 600
    """How long listeners that change or drain keep their streams."""

    def __post_init__(self) -> None:
        if found := list(errors(self.models, self.tenants, self.providers, self.peers)):
            raise SpecError("\n".join(found))
