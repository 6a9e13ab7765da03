"""How Envoy is started."""

from pathlib import Path

from serving.gateway.spec import GatewaySpec


def command(spec: GatewaySpec, envoy: Path, directory: Path) -> tuple[str, ...]:
    """Arguments of the gateway's process. SIGTERM stops it at once: drain it first (serving.gateway.drain)."""
    return (
        str(envoy),
        "--config-path",
        str(directory / "bootstrap.json"),
        "--concurrency",
        str(spec.workers),
        "--drain-time-s",
        str(spec.drain_seconds),
        "--disable-hot-restart",
        "--file-flush-interval-msec",
        "500",
        "--log-level",
        "warning",
    )


def environment(picker: Path) -> dict[str, str]:
    """Environment variables besides the inherited ones; `picker` is the path of libpicker.so."""
    return {"ENVOY_DYNAMIC_MODULES_SEARCH_PATH": str(picker.parent)}
