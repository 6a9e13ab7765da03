"""Fetches instance types and prices from AWS into the data files: `python -m infra.planning.catalogue.refresh`.

The only module here that talks to anyone, and only when it is run. Types come from EC2 DescribeInstanceTypes, prices
from the Pricing API (GetProducts), the spot factor from DescribeSpotPriceHistory.
"""

import argparse
import datetime
import json
import re
import statistics
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from infra.planning.catalogue.gpus import aws_gpu

DATA = Path(__file__).parent.parent / "data"
_GB = 10**9
_PRICING_REGIONS = ("us-east-1", "eu-central-1", "ap-south-1")


def instance_fields(described: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return our fields of one DescribeInstanceTypes entry, or None for a type that we cannot place models on."""
    devices = described.get("GpuInfo", {}).get("Gpus") or described.get("NeuronInfo", {}).get("NeuronDevices") or []
    if not devices or "x86_64" not in described["ProcessorInfo"]["SupportedArchitectures"]:
        return None
    device = devices[0]
    memory = device["MemoryInfo"]["SizeInMiB"]
    name = aws_gpu(device["Name"], memory)
    # A count of 0 marks a fraction of a GPU behind a driver of its own (g6f).
    if name is None or not device.get("Count"):
        return None
    network = described["NetworkInfo"]
    cards = network["NetworkCards"]
    storage = described.get("InstanceStorageInfo", {}).get("TotalSizeInGB", 0)
    return {
        "gpu": name,
        "gpus": device["Count"],
        "vcpus": described["VCpuInfo"]["DefaultVCpus"],
        "memory_mib": described["MemoryInfo"]["SizeInMiB"],
        "network": sum(_gigabits(card) for card in cards) * _GB / 8,
        "nvme_bytes": storage * _GB,
        # The AWS VPC CNI gives pods the addresses of the first card's interfaces (eni-max-pods.txt).
        "max_pods": cards[0]["MaximumNetworkInterfaces"] * (network["Ipv4AddressesPerInterface"] - 1) + 2,
        "efa": network.get("EfaInfo", {}).get("MaximumEfaInterfaces", 0),
    }


def _gigabits(card: Mapping[str, Any]) -> float:
    if "BaselineBandwidthInGbps" in card:
        return float(card["BaselineBandwidthInGbps"])
    match = re.search(r"([\d.]+) Gigabit", card["NetworkPerformance"])
    return float(match[1]) if match else 1.0


def describe(pages: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return our fields of all usable types by name, sorted, from pages of DescribeInstanceTypes."""
    found = {}
    for page in pages:
        for described in page["InstanceTypes"]:
            fields = instance_fields(described)
            if fields is not None:
                found[described["InstanceType"]] = fields
    return dict(sorted(found.items()))


def on_demand(products: Iterable[str], wanted: Iterable[str]) -> dict[str, float]:
    """Return dollars an hour by type from the Pricing API's product documents (JSON strings)."""
    names = set(wanted)
    found = {}
    for text in products:
        product = json.loads(text)
        name = product["product"]["attributes"].get("instanceType")
        if name not in names:
            continue
        for term in product["terms"].get("OnDemand", {}).values():
            for dimension in term["priceDimensions"].values():
                price = float(dimension["pricePerUnit"].get("USD", 0))
                if dimension["unit"] == "Hrs" and price:
                    found[name] = price
    return dict(sorted(found.items()))


def spot_factor(history: Iterable[Mapping[str, Any]], prices: Mapping[str, float]) -> float | None:
    """Return the median of spot over on-demand price, or None when there is no history."""
    ratios = [
        float(entry["SpotPrice"]) / prices[entry["InstanceType"]]
        for entry in history
        if entry["InstanceType"] in prices
    ]
    return round(statistics.median(ratios), 3) if ratios else None


def _products(client: Any, region: str) -> Iterator[str]:
    filters = {
        "regionCode": region, "operatingSystem": "Linux", "preInstalledSw": "NA", "capacitystatus": "Used",
        "marketoption": "OnDemand", "tenancy": "Shared", "productFamily": "Compute Instance",
    }  # fmt: skip
    pages = client.get_paginator("get_products").paginate(
        ServiceCode="AmazonEC2",
        Filters=[{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in filters.items()],
    )
    for page in pages:
        yield from page["PriceList"]


def write_types(types: Mapping[str, Any], source: str, date: str, folder: Path = DATA) -> None:
    """Write data/instances.json, one type a line."""
    _write(folder / "instances.json", {"source": source, "date": date}, "types", types)


def write_prices(region: str, prices: Mapping[str, float], source: str, date: str, folder: Path = DATA) -> None:
    """Replace one region in data/prices.json."""
    file = folder / "prices.json"
    content = json.loads(file.read_text())
    content["regions"][region] = {"date": date, "source": source, "on_demand": dict(prices)}
    file.write_text(json.dumps(content, indent=1) + "\n")


def _write(file: Path, head: Mapping[str, Any], name: str, rows: Mapping[str, Any]) -> None:
    lines = [f" {json.dumps(key)}: {json.dumps(value)}," for key, value in head.items()]
    body = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in rows.items()]
    file.write_text("\n".join(["{", *lines, f" {json.dumps(name)}: {{", ",\n".join(body), " }", "}", ""]))


def main(arguments: list[str] | None = None) -> int:
    """Fetch everything for one region with the caller's AWS credentials and write the data files."""
    parser = argparse.ArgumentParser(prog="python -m infra.planning.catalogue.refresh", description=__doc__)
    parser.add_argument("--region", required=True)
    options = parser.parse_args(arguments)
    # Imported here: planning must not need boto3 unless prices are fetched.
    import boto3  # type: ignore[import-untyped]  # noqa: PLC0415

    region = options.region
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    ec2 = boto3.client("ec2", region_name=region)
    types = describe(ec2.get_paginator("describe_instance_types").paginate())
    near = region if region in _PRICING_REGIONS else "us-east-1"
    prices = on_demand(_products(boto3.client("pricing", region_name=near), region), types)
    if not prices:
        sys.stderr.write(f"--region {region}: the Pricing API has no on-demand price there; check the region's name\n")
        return 1
    history = ec2.get_paginator("describe_spot_price_history").paginate(
        InstanceTypes=list(types), ProductDescriptions=["Linux/UNIX"], StartTime=datetime.datetime.now(datetime.UTC)
    )
    factor = spot_factor((entry for page in history for entry in page["SpotPriceHistory"]), prices)
    write_types(types, f"EC2 DescribeInstanceTypes, {region}", today)
    write_prices(region, prices, "AWS Pricing API, GetProducts", today)
    if factor is not None:
        content = json.loads((DATA / "prices.json").read_text())
        content["spot"] = {"factor": factor, "date": today, "source": f"EC2 DescribeSpotPriceHistory, {region}, median"}
        (DATA / "prices.json").write_text(json.dumps(content, indent=1) + "\n")
    sys.stdout.write(f"{len(types)} types, {len(prices)} prices of {region}, spot factor {factor}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
