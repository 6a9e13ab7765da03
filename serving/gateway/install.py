"""Puts a gateway's configuration in place: checked by Envoy first, then written in an order that cuts nothing."""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from serving.gateway.admin import Admin, AdminError
from serving.gateway.atomic import write_json
from serving.gateway.config import files, static
from serving.gateway.envoy import Json, discovery
from serving.gateway.listeners import PREFIX, ROUTES
from serving.gateway.process import environment
from serving.gateway.registry import Registry
from serving.gateway.spec import GatewaySpec

_CDS = "cluster_manager.cds"
_RDS = f"http.{PREFIX}.rds.{ROUTES}"


class InstallError(RuntimeError):
    """The configuration is not in place; what was there before still is."""


def validate(spec: GatewaySpec, envoy: Path, picker: Path) -> None:
    """Raises InstallError with Envoy's own words when Envoy would refuse the configuration."""
    check(static(spec), envoy, picker)


def check(config: Json, envoy: Path, picker: Path) -> None:
    """The same for a configuration in one file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "static.json"
        write_json(file, config)
        result = subprocess.run(
            [str(envoy), "--mode", "validate", "--config-path", str(file), "--log-level", "error"],
            env=os.environ | environment(picker),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    if result.returncode:
        raise InstallError(f"Envoy refuses the configuration:\n{(result.stderr + result.stdout).strip()}")


def install(
    spec: GatewaySpec,
    directory: Path,
    envoy: Path,
    picker: Path,
    *,
    registry: Registry | None = None,
    change_listener: bool = False,
    patience: float = 10.0,
) -> None:
    """Writes the configuration into `directory` (absolute), for a gateway that runs there or will.

    `envoy` and `picker` are the paths of the binary and of libpicker.so. A running gateway follows step by step: new
    clusters, then routes, then old clusters go; each step waits until the gateway has it (at most `patience` seconds).
    Raises InstallError when Envoy refuses the configuration, or when it would change a listener that is in use
    (`change_listener` allows it: streams longer than the drain time are cut then).
    """
    Path(spec.access_log).parent.mkdir(parents=True, exist_ok=True)
    validate(spec, envoy, picker)
    registry = registry or Registry(directory)
    new = files(spec, directory)
    old = {name: _read(directory / name) for name in new}
    admin = Admin(spec.admin_port) if old["bootstrap.json"] else None
    running = admin is not None and admin.ready()
    if running and not change_listener:
        for name in ("bootstrap.json", "lds.json"):
            if old[name] and old[name] != new[name]:
                raise InstallError(
                    f"{directory / name} would change while the gateway runs: ports, log, limits of connections and "
                    "memory are fixed at its start. Stop the gateway first (serving.gateway.drain), or say "
                    "change_listener=True and lose the streams that outlive the drain time"
                )
    registered = {name for model in spec.models for name in model.backends}
    for name in sorted(registered):
        registry.open(name)
    clusters = {r["name"]: r for r in _resources(old["cds.json"])} | {r["name"]: r for r in _resources(new["cds.json"])}
    between = discovery("config.cluster.v3.Cluster", [_untyped(r) for r in clusters.values()])
    write_json(directory / "cds.json", between)
    if running and admin:
        _wait(admin, _CDS, between["version_info"], patience)
    write_json(directory / "rds.json", new["rds.json"])
    if running and admin:
        _wait(admin, _RDS, new["rds.json"]["version_info"], patience)
    for name in ("cds.json", "lds.json", "bootstrap.json"):
        if _read(directory / name) != new[name]:
            write_json(directory / name, new[name])
    if running and admin:
        _wait(admin, _CDS, new["cds.json"]["version_info"], patience)
    for gone in clusters.keys() - registered:
        registry.forget(gone)


def _read(path: Path) -> Json:
    try:
        value: Json = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise InstallError(f"{path} is not JSON ({error}); remove it and install again") from error
    return value


def _resources(file: Json) -> list[Json]:
    resources: list[Json] = file.get("resources", [])
    return resources


def _untyped(resource: Json) -> Json:
    return {k: v for k, v in resource.items() if k != "@type"}


def _wait(admin: Admin, source: str, version: str, patience: float) -> None:
    names = [f"{source}.version_text", f"{source}.update_rejected"]
    pattern = "|".join(f"^{n}$" for n in names).replace(".", r"\.")
    rejected = admin.stats(pattern).get(names[1], 0)

    def arrived() -> bool:
        stats = admin.stats(pattern)
        if stats.get(names[1], 0) != rejected and stats.get(names[0]) != version:
            raise InstallError(
                f"the gateway refuses {source} {version}; its log says why, and it goes on with the old one"
            )
        return stats.get(names[0]) == version

    _until(arrived, patience, f"the gateway has not taken {source} {version} over in {patience:g} s")


def _until(done: Callable[[], bool], patience: float, otherwise: str) -> None:
    end = time.monotonic() + patience
    try:
        while not done():
            if time.monotonic() > end:
                raise InstallError(otherwise)
            time.sleep(0.02)
    except AdminError as error:
        raise InstallError(f"{otherwise}: {error}") from error
