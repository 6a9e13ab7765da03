"""Target files for Prometheus' file discovery: one a service, there as long as it serves."""

import json
from pathlib import Path

from infra.providers.local.process import Process


def show(process: Process) -> None:
    """Points Prometheus at this process, and away from an older one of the same service."""
    scrape = process.spec.scrape
    if scrape is None:
        return
    file = _file(process, scrape.folder)
    file.parent.mkdir(parents=True, exist_ok=True)
    labels = {**scrape.labels, "__metrics_path__": scrape.path}
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps([{"targets": [f"127.0.0.1:{process.ports[scrape.port]}"], "labels": labels}], indent=1))
    draft.rename(file)


def hide(process: Process) -> None:
    """Takes the service off Prometheus' list."""
    if process.spec.scrape is not None:
        _file(process, process.spec.scrape.folder).unlink(missing_ok=True)


def _file(process: Process, folder: str) -> Path:
    return Path(folder) / f"{process.spec.name}.json"
