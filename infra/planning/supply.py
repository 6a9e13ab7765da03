"""What can be had: node types of an AWS region or of a cluster, on which terms, at which price."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from infra.planning.catalogue import Gpu, Instance, Prices, aws_instances, fixed_instance, gpus
from infra.planning.placement import Option

RESERVED, ON_DEMAND, SPOT, OWNED = "reserved", "on_demand", "spot", "owned"

_OWNED_TIE = 1e-15
"""Dollars an hour and byte of device memory: among nodes that cost nothing, the smallest that do are used."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Nodes of one type, on one of the terms, with GPUs whole or cut."""

    node: Instance
    purchase: str
    device: Gpu
    """A whole GPU, or the slice that every GPU of the node is cut into."""
    units: int
    hourly: float
    """Dollars of one node."""
    limit: int | None = None
    slices: int = 1
    """Units of one GPU."""

    @property
    def cpu_millis(self) -> int:
        """Return the CPU that comes with one unit."""
        return self.node.allocatable_cpu_millis // self.units

    @property
    def memory_bytes(self) -> int:
        """Return the host memory that comes with one unit."""
        return self.node.allocatable_memory_bytes // self.units

    def option(self) -> Option:
        """Return it as the solver knows it."""
        hourly = self.hourly
        if self.purchase == OWNED:
            hourly += _OWNED_TIE * self.device.memory_bytes * self.units
        return Option(
            name=f"{self.node.name}/{self.purchase}",
            device=self.device.name,
            units=self.units,
            hourly=hourly,
            limit=self.limit,
            spot=self.purchase == SPOT,
            quota=self.node.gpu,
            quota_units=self.node.gpus,
        )


@dataclass(frozen=True, slots=True)
class Supply:
    """All offers, and how much of each GPU type may be had."""

    offers: tuple[Offer, ...]
    quotas: Mapping[str, int] = field(default_factory=dict)
    """GPUs of a type, over all offers."""
    region: str = ""
    prices_of: str = ""
    allowed: tuple[str, ...] = ()
    """GPU types that `auto` may choose; empty for all."""

    @property
    def devices(self) -> Mapping[str, Gpu]:
        """Return devices that are on offer, by name."""
        return {offer.device.name: offer.device for offer in self.offers}


def aws_supply(
    prices: Prices,
    *,
    allowed: Sequence[str] = (),
    quotas: Mapping[str, int] | None = None,
    reserved: Mapping[str, int] | None = None,
    spot: bool = False,
) -> Supply:
    """Return what a region offers: every priced type on demand and (when anything may use it) spot, and reservations.

    Reserved nodes are paid for, so they cost nothing more; they are not cut into slices.
    """
    offers = []
    for node in aws_instances().values():
        price = prices.get(node.name)
        held = (reserved or {}).get(node.name, 0)
        if held:
            offers.append(Offer(node, RESERVED, node.device, node.gpus, 0.0, held))
        if price is None:
            continue
        terms = [(ON_DEMAND, price)] + ([(SPOT, price * prices.spot_factor)] if spot else [])
        for purchase, hourly in terms:
            offers.append(Offer(node, purchase, node.device, node.gpus, hourly))
            offers += [
                Offer(node, purchase, node.device.slice(part), node.gpus * part.each, hourly, None, part.each)
                for part in node.device.slices
            ]
    return Supply(
        tuple(offers),
        dict(quotas or {}),
        prices.region,
        f"{prices.source}, {prices.date}; spot at {prices.spot_factor:g} of on demand ({prices.spot_date})",
        tuple(allowed),
    )


@dataclass(frozen=True, slots=True)
class Pool:
    """GPU nodes of one kind that a cluster has."""

    name: str
    gpu: str
    gpus: int
    nodes: int
    hourly: float


_ROOMY_CPU_A_GPU, _ROOMY_MEMORY_A_GPU = 16, 64


def cluster_supply(pools: Sequence[Pool]) -> Supply:
    """Return a cluster's nodes. A stack file does not tell their CPU and memory, so these are taken to be enough."""
    offers = tuple(
        Offer(
            fixed_instance(
                pool.name, pool.gpu, pool.gpus, _ROOMY_MEMORY_A_GPU * pool.gpus, _ROOMY_CPU_A_GPU * pool.gpus
            ),
            OWNED,
            gpus()[pool.gpu],
            pool.gpus,
            pool.hourly,
            pool.nodes,
        )
        for pool in pools
    )
    return Supply(offers, prices_of="stack file")


def node_supply(nodes: Sequence[Instance]) -> Supply:
    """Return the nodes that a cluster has, as read from their labels (`instance_from_labels`), alike ones together."""
    counts = Counter(nodes)
    offers = tuple(
        Offer(node, OWNED, node.device, node.gpus, 0.0, count)
        for node, count in sorted(counts.items(), key=lambda entry: entry[0].name)
    )
    return Supply(offers, prices_of="node labels")
