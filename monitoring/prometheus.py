"""Prometheus' own configuration for one machine: it finds its targets in a folder of files."""

from typing import Any

SCRAPE_SECONDS = 5
"""Short: one machine has a handful of targets, and a person watches while trying things out."""


def local_config(targets_folder: str) -> dict[str, Any]:
    """`prometheus.yml`: itself, and every target file in `targets_folder` (labels `job`, `model`, `replica`)."""
    return {
        "global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "evaluation_interval": f"{SCRAPE_SECONDS}s"},
        "scrape_configs": [
            {"job_name": "prometheus", "static_configs": [{"targets": ["127.0.0.1:{port.http}"]}]},
            {
                "job_name": "berth",
                "file_sd_configs": [{"files": [f"{targets_folder}/*.json"], "refresh_interval": "5s"}],
                # A histogram of 1,024 buckets a replica that no rule reads.
                "metric_relabel_configs": [
                    {"source_labels": ["__name__"], "regex": "tgi_batch_next_size_bucket", "action": "drop"}
                ],
            },
        ],
    }
