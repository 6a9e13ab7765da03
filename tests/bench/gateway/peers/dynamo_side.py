"""Runs inside the environment that has Dynamo: replays traces in its simulated engines.

Reads one JSON a line from standard input: {"trace": file in Mooncake's format, "workers": n, "router": "round_robin"
or "kv_router", "rate": x}. Answers with one JSON a line; times in milliseconds of the replay's clock. The engines are
those of Dynamo's mocker with its defaults: 16,384 blocks of 64 tokens, 8,192 batched tokens, chunked prefill.
"""

import json
import sys

from dynamo.replay import run_trace_replay  # type: ignore[import-not-found] # only there


def main() -> None:
    """Answers until the input ends."""
    for line in sys.stdin:
        job = json.loads(line)
        report = run_trace_replay(
            [job["trace"]],
            num_workers=job["workers"],
            router_mode=job["router"],
            trace_block_size=512,
            arrival_speedup_ratio=job["rate"],
            capture_per_request=True,
        )
        # Requests have no name of their own in a trace; those alike in all of this may be taken for each other.
        requests = sorted(
            report.per_request, key=lambda r: (r["arrival_time_ms"], r["input_length"], r["output_length"])
        )
        answer = {
            "mean_ttft": report.summary["mean_ttft_ms"],
            "mean_itl": report.summary["mean_itl_ms"],
            "requests": [
                {
                    "arrival": r["arrival_time_ms"],
                    "first_token": r["first_token_ms"],
                    "last_token": r["last_token_ms"],
                    "prompt_tokens": r["input_length"],
                    "output_tokens": r["output_length"],
                    "reused_tokens": r["reused_input_tokens"],
                    "worker": r["decode_worker_idx"],
                }
                for r in requests
            ],
        }
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


main()
