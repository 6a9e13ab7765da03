"""A real Prometheus for tests, which scrapes twice a second."""

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import yaml

from infra.toolchain import ensure
from tests.gateway.harness import Gateway, free_port, until


@dataclass(frozen=True, slots=True)
class Scraper:
    """A running Prometheus."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.port}"

    def scrape(self, gateways: Sequence[Gateway], servers: Mapping[str, Sequence[int]]) -> None:
        """From now on these: gateways, and ports of model servers by model. Heard of within five seconds."""
        groups = [
            {
                "targets": [f"127.0.0.1:{each.spec.admin_port}"],
                "labels": {"job": "gateway", "__metrics_path__": "/stats/prometheus"},
            }
            for each in gateways
        ]
        groups += [
            {"targets": [f"127.0.0.1:{port}" for port in ports], "labels": {"job": "servers", "model": name}}
            for name, ports in servers.items()
        ]
        fresh = self.folder / "targets.new"
        fresh.write_text(json.dumps(groups))
        fresh.rename(self.folder / "targets.json")


@contextmanager
def scraper(folder: Path) -> Iterator[Scraper]:
    """Starts one without targets, and stops it in the end."""
    folder.mkdir(parents=True, exist_ok=True)
    running = Scraper(folder, free_port())
    files = {"files": [str(folder / "targets.json")], "refresh_interval": "1s"}
    config = {
        "global": {"scrape_interval": "500ms", "scrape_timeout": "400ms"},
        "scrape_configs": [{"job_name": "all", "file_sd_configs": [files]}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    command = [
        str(ensure("prometheus")),
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/tsdb",
        f"--web.listen-address=127.0.0.1:{running.port}",
    ]
    with (folder / "prometheus.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        until(lambda: _ready(running.url), "Prometheus is ready", 30)
        yield running
    finally:
        process.terminate()
        process.wait(20)


def _ready(url: str) -> bool:
    try:
        with urlopen(f"{url}/-/ready", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
