"""GPUs, instance types and prices."""

import json
from pathlib import Path

import boto3
import pytest
from botocore.stub import Stubber

from infra.planning.catalogue import aws_instances, gpus, instance_from_labels, prices, refresh
from infra.planning.errors import PlanError
from infra.settings.gpus import GPU_TYPES


@pytest.mark.parametrize(
    ("name", "millis", "mebibytes"),
    # Karpenter's instance type reference (website, reference/instance-types.md).
    [("g6.xlarge", 3920, 14162), ("g6e.12xlarge", 47810, 360157), ("p5.48xlarge", 191450, 1938410)],
)
def test_allocatable_resources_are_karpenters(name: str, millis: int, mebibytes: int) -> None:
    node = aws_instances()[name]
    assert node.allocatable_cpu_millis == millis
    assert node.allocatable_memory_bytes // 2**20 == mebibytes


def test_every_priced_type_is_known_and_every_gpu_of_a_type() -> None:
    assert set(prices("us-east-1").on_demand) <= set(aws_instances())
    assert {node.gpu for node in aws_instances().values()} <= set(gpus())


def test_gpu_types_of_stack_files_are_in_the_catalogue() -> None:
    assert set(GPU_TYPES) <= set(gpus())


def test_a_region_without_prices_names_the_nearest_and_the_command() -> None:
    with pytest.raises(
        PlanError, match=r"nearest with prices: us-east-1; or fetch them: python -m .*refresh --region us-east-2"
    ):
        prices("us-east-2")


def test_slices_take_their_share() -> None:
    whole = gpus()["h100"]
    parts = {part.profile: whole.slice(part) for part in whole.slices}
    assert parts["3g.40gb"].name == "h100:3g.40gb"
    assert parts["3g.40gb"].bandwidth == pytest.approx(whole.bandwidth / 2, rel=0.02)
    assert parts["1g.10gb"].flops == pytest.approx(whole.flops / 7, rel=0.01)


def test_a_node_is_recognised_by_its_labels() -> None:
    labels = {
        "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB",
        "nvidia.com/gpu.memory": "81920",
        "nvidia.com/gpu.count": "8",
    }
    node = instance_from_labels(labels, 96, 1152 * 2**30)
    assert node is not None
    assert (node.gpu, node.gpus) == ("a100-80", 8)
    assert instance_from_labels({}, 4, 2**34) is None
    l4 = instance_from_labels({"nvidia.com/gpu.product": "NVIDIA-L4", "nvidia.com/gpu.memory": "23034"}, 4, 2**34)
    assert l4 is not None
    assert l4.gpu == "l4"


DESCRIBED = {
    "InstanceType": "g6.xlarge",
    "ProcessorInfo": {"SupportedArchitectures": ["x86_64"]},
    "VCpuInfo": {"DefaultVCpus": 4},
    "MemoryInfo": {"SizeInMiB": 16384},
    "GpuInfo": {"Gpus": [{"Name": "L4", "Manufacturer": "NVIDIA", "Count": 1, "MemoryInfo": {"SizeInMiB": 22888}}]},
    "InstanceStorageInfo": {"TotalSizeInGB": 250},
    "NetworkInfo": {
        "NetworkPerformance": "Up to 10 Gigabit",
        "Ipv4AddressesPerInterface": 15,
        "NetworkCards": [
            {"NetworkCardIndex": 0, "NetworkPerformance": "Up to 10 Gigabit", "MaximumNetworkInterfaces": 4,
             "BaselineBandwidthInGbps": 2.5},
        ],
    },
}  # fmt: skip


def test_refresh_reads_what_the_apis_answer() -> None:
    client = boto3.client("ec2", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")  # noqa: S106
    with Stubber(client) as stub:
        stub.add_response("describe_instance_types", {"InstanceTypes": [DESCRIBED]})
        types = refresh.describe([client.describe_instance_types()])
    assert types["g6.xlarge"] == {
        "gpu": "l4", "gpus": 1, "vcpus": 4, "memory_mib": 16384, "network": 312500000.0, "nvme_bytes": 250 * 10**9,
        "max_pods": 58, "efa": 0,
    }  # fmt: skip
    assert aws_instances()["g6.xlarge"].max_pods == 58


def test_refresh_takes_hourly_on_demand_prices_only() -> None:
    def product(name: str, unit: str, price: str) -> str:
        dimension = {"unit": unit, "pricePerUnit": {"USD": price}}
        return json.dumps(
            {
                "product": {"attributes": {"instanceType": name}},
                "terms": {"OnDemand": {"t": {"priceDimensions": {"d": dimension}}}},
            }
        )

    rows = [
        product("g6.xlarge", "Hrs", "0.8048"),
        product("m5.large", "Hrs", "0.1"),
        product("g6.2xlarge", "Hrs", "0.0"),
    ]
    assert refresh.on_demand(rows, ["g6.xlarge", "g6.2xlarge"]) == {"g6.xlarge": 0.8048}
    history = [{"InstanceType": "g6.xlarge", "SpotPrice": "0.4024"}, {"InstanceType": "x", "SpotPrice": "9"}]
    assert refresh.spot_factor(history, {"g6.xlarge": 0.8048}) == 0.5
    assert refresh.spot_factor([], {}) is None


def test_refresh_writes_one_type_a_line_and_one_region(tmp_path: Path) -> None:
    refresh.write_types({"a": {"gpu": "l4"}}, "somewhere", "2026-11-24", tmp_path)
    assert json.loads((tmp_path / "instances.json").read_text())["types"] == {"a": {"gpu": "l4"}}
    (tmp_path / "prices.json").write_text('{"regions": {"us-east-1": {}}}')
    refresh.write_prices("eu-west-1", {"g6.xlarge": 1.0}, "somewhere", "2026-11-24", tmp_path)
    assert set(json.loads((tmp_path / "prices.json").read_text())["regions"]) == {"us-east-1", "eu-west-1"}
