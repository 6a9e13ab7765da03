"""What can be rented or is already there: accelerators, node types, prices."""

from infra.planning.catalogue.gpus import Gpu, Slice, gpus
from infra.planning.catalogue.instances import Instance, aws_instances, fixed_instance, instance_from_labels
from infra.planning.catalogue.prices import HOURS_A_MONTH, Prices, prices

__all__ = [
    "HOURS_A_MONTH",
    "Gpu",
    "Instance",
    "Prices",
    "Slice",
    "aws_instances",
    "fixed_instance",
    "gpus",
    "instance_from_labels",
    "prices",
]
