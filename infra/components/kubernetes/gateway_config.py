"""The files of the gateway's pods, from the component's plain arguments. Pure."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from infra import toolchain
from infra.components.kubernetes.arguments import refuse
from infra.components.kubernetes.labels import Role, labels, selector
from infra.components.kubernetes.names import (
    GATEWAY_METRICS_PORT,
    GATEWAY_PORT,
    GATEWAY_TLS_PORT,
    PEERS_PORT,
    SERVER_PORT,
    host,
)
from infra.providers.local.gateway_config import parse
from serving import gateway
from serving.gateway import mounted
from serving.gateway.install import check as envoy_check
from serving.gateway.peers import Peers
from serving.gateway.share import share

ADMIN_PORT = 9901
"""On 127.0.0.1 of the pod."""
NOTICE_SECONDS = 15
"""From the failing of health checks to the draining of listeners: load balancers and kube-proxies hear of it."""
SERVICE_TYPES = ("LoadBalancer", "ClusterIP")
LINGER_SECONDS = 5
"""For kept connections to learn of the drain after the last stream."""


@dataclass(frozen=True, slots=True)
class Front:
    """A gateway in a cluster: everything about it but its secrets, checked."""

    name: str
    namespace: str
    stack: str
    spec: gateway.GatewaySpec
    """Without tenants and without keys of providers."""
    sources: Mapping[str, mounted.Source]
    """By set of backends."""
    least: int
    """Replicas."""
    most: int
    """Replicas; a scaler chooses between the two."""
    certificate: str | None = None
    """Name of a TLS Secret; None: plain HTTP."""
    peers: bool = False
    """Whether its pods tell each other their picks."""
    cpu_millis: int | None = None
    """Requested processor of one pod; None: half a core for each worker thread."""
    priority_class: str | None = None
    image_pull_secret: str | None = None
    service_type: str = "LoadBalancer"
    service_annotations: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises ArgumentsError with every reason why it cannot be."""
        refuse(f"gateway {self.name}", self._faults())

    def _faults(self) -> Iterator[str]:
        if not 1 <= self.least <= self.most:
            yield f"replicas from {self.least} to {self.most}; write 1 <= min <= max"
        wanted = [backends for model in self.spec.models for backends in model.backends]
        if missing := [backends for backends in wanted if backends not in self.sources]:
            yield f"hosts lacks {', '.join(missing)}; give the DNS name of each set of backends"
        if self.service_type not in SERVICE_TYPES:
            yield f"service_type is {self.service_type!r}; one of {', '.join(SERVICE_TYPES)}"

    @property
    def mounts(self) -> mounted.Mounts:
        """Where its pods find what."""
        return mounted.Mounts(
            metrics_port=GATEWAY_METRICS_PORT, https_port=GATEWAY_TLS_PORT if self.certificate else None
        )

    @property
    def stream_seconds(self) -> int:
        """The longest that an answer may take."""
        return max((round(model.timeouts.stream) for model in self.spec.models), default=60)

    @property
    def memory_bytes(self) -> int:
        """Of one pod: Envoy sheds load as its heap comes near its limit, well before the kernel would end it."""
        return self.spec.max_heap_bytes * 5 // 4

    @property
    def selector(self) -> dict[str, str]:
        """Labels that its pods alone have."""
        return selector(Role.GATEWAY, self.name)

    @property
    def labels(self) -> dict[str, str]:
        """Of everything that belongs to it."""
        return labels(Role.GATEWAY, self.name, self.stack)

    @property
    def peers_name(self) -> str:
        """Of the Service by which its pods find each other."""
        return f"{self.name}-peers"

    @property
    def clusters_name(self) -> str:
        """Of the ConfigMap of `clusters`."""
        return f"{self.name}-clusters"

    @property
    def routes_name(self) -> str:
        """Of the Secret of `routes`."""
        return f"{self.name}-routes"

    def check(self) -> None:
        """Lets the real Envoy judge the configuration, where this machine has one with the picker.

        Raises InstallError with Envoy's words. Without Envoy nothing is checked here; the gateways themselves refuse
        what is wrong and go on with what they have.
        """
        envoy, picker = toolchain.find("envoy"), toolchain.find("picker")
        if not isinstance(envoy, toolchain.Missing) and not isinstance(picker, toolchain.Missing):
            envoy_check(mounted.static(self.spec, self.sources, self.mounts), envoy.path, picker.path)

    def start(self) -> dict[str, str]:
        """Bootstrap and listeners, as text by file name."""
        return _texts(mounted.start_files(self.spec, self.mounts))

    def start_name(self) -> str:
        """Of the ConfigMap of `start`. Another content has another name: pods roll, and old pods keep theirs."""
        digest = hashlib.sha256(json.dumps(self.start(), sort_keys=True).encode()).hexdigest()
        return f"{self.name}-start-{digest[:10]}"

    def clusters(self) -> dict[str, str]:
        """Servers by model, as text by file name."""
        return _texts(mounted.cluster_files(self.spec, self.sources, self.mounts))

    def routes(self, private: Mapping[str, Any], peers_key: str | None) -> dict[str, str]:
        """Routes with everything secret, as text by file name. Raises SpecError."""
        providers = tuple(replace(p, key=private["provider_keys"][p.name]) for p in self.spec.providers)
        tenants = parse_tenants(private["tenants"])
        whole = replace(
            self.spec,
            providers=providers,
            tenants=share(tenants, self.least),
            peers=Peers(
                f"0.0.0.0:{PEERS_PORT}",
                (f"{host(self.peers_name, self.namespace)}:{PEERS_PORT}",),
                peers_key,
            )
            if peers_key
            else None,
        )
        return _texts(mounted.route_files(whole))


def in_a_pod(spec: Mapping[str, Any]) -> gateway.GatewaySpec:
    """A spec in its plain form, with the addresses that a pod has and without anything secret."""
    return replace(
        parse(spec),
        host="0.0.0.0",  # noqa: S104 - a pod's own address
        port=GATEWAY_PORT,
        admin_port=ADMIN_PORT,
        access_log="/dev/stdout",
        tenants=(),
        peers=None,
    )


def sources(hosts: Mapping[str, str], capacities: Mapping[str, Mapping[str, float]]) -> dict[str, mounted.Source]:
    """Where each set of backends is found: the addresses of its DNS name, anew every few seconds."""
    return {
        name: mounted.Source(gateway.Dns(dns, SERVER_PORT), dict(capacities.get(name, {})))
        for name, dns in hosts.items()
    }


def parse_tenants(values: Any) -> tuple[gateway.Tenant, ...]:
    """Tenants from their plain form."""
    return tuple(
        gateway.Tenant(
            name=str(value["name"]),
            key_digests=tuple(str(digest) for digest in value["key_digests"]),
            requests_per_minute=_whole(value.get("requests_per_minute")),
            tokens_per_minute=_whole(value.get("tokens_per_minute")),
            priority=gateway.Priority(value.get("priority", "normal")),
        )
        for value in values
    )


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)  # whole numbers arrive as floats


def _texts(files: Mapping[str, Any]) -> dict[str, str]:
    return {name: json.dumps(content, indent=1) for name, content in sorted(files.items())}
