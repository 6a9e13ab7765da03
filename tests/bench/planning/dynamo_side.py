"""Runs inside the environment that has Dynamo: replays traces with the given engine, prints one JSON a line.

Input on stdin, one JSON a line: {"trace": rows file, "npz": step times, "engine": {...}, "workers": n, "speed": x}.
"""

import json
import sys

from dynamo.replay import run_trace_replay


def main() -> None:
    for line in sys.stdin:
        job = json.loads(line)
        arguments = {
            "engine": job["engine"]
            | {"timing_model": {"type": "external", "provider": "dynamo_profile", "config": {"path": job["npz"]}}}
        }
        report = run_trace_replay(
            [job["trace"]],
            num_workers=job["workers"],
            router_mode="round_robin",
            trace_block_size=job["block"],
            arrival_speedup_ratio=job["speed"],
            extra_engine_args=json.dumps(arguments),
            capture_per_request=True,
        )
        summary = report.summary
        figures = {
            "ttft_p50": summary["median_ttft_ms"] / 1e3,
            "ttft_p95": summary["p95_ttft_ms"] / 1e3,
            "itl_mean": summary["mean_itl_ms"] / 1e3,
            "itl_p95": summary["p95_itl_ms"] / 1e3,
            "duration": summary["duration_ms"] / 1e3,
            "reused": summary["prefix_cache_reused_ratio"],
            "requests": summary["completed_requests"],
        }
        sys.stdout.write(json.dumps(figures) + "\n")
        sys.stdout.flush()


main()
