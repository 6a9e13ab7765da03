"""The performance model beside Dynamo's offline replay, an independent simulator of LLM engines.

    python -m tests.bench.planning.dynamo_compare --python PYTHON --traces DIR [--record]

PYTHON is the interpreter of an environment of its own with ai-dynamo and ai-dynamo-runtime 1.6.1 (both --no-deps, then
uvloop pydantic pyyaml prometheus_client aiohttp fastapi transformers tokenizers numpy pyzmq msgspec). DIR holds
azure_llm_2023_conv.csv, azure_llm_2023_code.csv (Azure/AzurePublicDataset, CC-BY-4.0) and mooncake_conversation.jsonl
(kvcache-ai/Mooncake, Apache-2.0). Both sides get the same step times, token budget, KV blocks and arrivals; Dynamo's
step times depend on the tokens of a step only, so attention to earlier tokens is left out of prefill on both sides.

--record writes what the default test run compares with: the first requests of each trace and Dynamo's figures for them.
"""

import argparse
import gzip
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from infra.planning.catalogue import gpus
from infra.planning.performance.capacity import Traffic, pooled_percentile, replicas_for
from infra.planning.performance.outcome import Outcome
from infra.planning.performance.simulate import Engine, simulate
from infra.planning.performance.timing import Placement, Timing, roofline
from infra.planning.performance.workload import Workload, azure_trace, mooncake_trace
from infra.planning.shapes import find_shape

HERE = Path(__file__).parent
RECORDED = HERE.parent.parent / "unit" / "planning" / "dynamo"
LOADS = (0.2, 0.4, 0.6, 0.8, 0.9)
"""Shares of the saturation load."""
FLOOD = 1e4
COMPARED = ("ttft_p50", "ttft_p95", "itl_mean", "itl_p95")
BLOCK, HASHED = 64, 512
RECORDED_REQUESTS = 1500


@dataclass(frozen=True)
class Case:
    name: str
    workload: Workload
    model: str
    gpu: str
    kv_tokens: int
    ttft_p95: float
    """Objective for the comparison of replicas, seconds."""
    rates: tuple[float, ...]
    """Multiples of the trace's own rate at which replicas are compared."""
    batch_tokens: int = 8192
    max_requests: int = 256

    @property
    def engine(self) -> Engine:
        shape = find_shape(self.model, self.name)
        placed = Placement(shape, gpus()[self.gpu], 1, shape.kv_bytes_per_token(), shape.weights_bytes)
        timing = replace(roofline(placed), prefill_pair=0.0)
        return Engine(timing, self.batch_tokens, self.max_requests, self.kv_tokens // BLOCK * BLOCK)


def cases(traces: Path) -> list[Case]:
    llama = "meta-llama/Llama-3.1-8B-Instruct"
    conversation = azure_trace(traces / "azure_llm_2023_conv.csv")
    code = azure_trace(traces / "azure_llm_2023_code.csv")
    mooncake = mooncake_trace(traces / "mooncake_conversation.jsonl")
    return [
        Case("azure conversation", conversation, llama, "l40s", 145_000, 2.0, (0.5, 1.0, 2.0, 4.0)),
        Case("azure code", code, llama, "l40s", 145_000, 5.0, (0.5, 1.0, 2.0, 4.0)),
        Case("mooncake", mooncake, llama, "h100", 327_000, 4.0, (0.5, 1.0, 2.0)),
    ]


class Dynamo:
    """One process in Dynamo's environment that replays what it is sent."""

    def __init__(self, python: str, case: Case, folder: Path) -> None:
        self.case = case
        self.trace = folder / f"{case.name}.jsonl".replace(" ", "_")
        self.npz = folder / f"{case.name}.npz".replace(" ", "_")
        _write_trace(case.workload, self.trace)
        _write_steps(case.engine.timing, self.npz)
        self.process = subprocess.Popen(
            [python, str(HERE / "dynamo_side.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {"DYN_LOG": "error"},
        )  # fmt: skip

    def replay(self, speed: float, workers: int = 1) -> dict[str, float]:
        engine = self.case.engine
        job = {
            "trace": str(self.trace), "npz": str(self.npz), "workers": workers, "speed": speed, "block": HASHED,
            "engine": {
                "num_gpu_blocks": engine.kv_tokens // BLOCK, "block_size": BLOCK,
                "max_num_seqs": engine.max_requests, "max_num_batched_tokens": engine.batch_tokens,
            },
        }  # fmt: skip
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("Dynamo's process has no pipes")
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"Dynamo ended with {self.process.wait()}")
        answer: dict[str, float] = json.loads(line)
        return answer

    def close(self) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.wait()


def _write_trace(work: Workload, file: Path) -> None:
    fresh = iter(range(1 << 40, 1 << 41))
    with file.open("w") as stream:
        for index, arrival in enumerate(work.arrivals):
            blocks = math.ceil(work.prompts[index] / HASHED)
            hashes = list(work.blocks[index]) if work.blocks else [next(fresh) for _ in range(blocks)]
            row = {
                "timestamp": round(arrival * 1000, 3), "input_length": work.prompts[index],
                "output_length": work.outputs[index], "hash_ids": hashes,
            }  # fmt: skip
            stream.write(json.dumps(row) + "\n")


def _write_steps(timing: Timing, file: Path) -> None:
    """Tables that Dynamo interpolates: prefill by tokens, decode by (context tokens of the batch, mean context)."""
    tokens = np.unique(
        np.concatenate([[0, 1, timing.prefill_floor / timing.prefill_token], np.geomspace(2, 40_000, 60)])
    )
    contexts = np.unique(np.concatenate([[1], np.geomspace(16, 200_000, 60)]))
    held = np.concatenate([[1.0], np.geomspace(16, 2e6, 200)])
    np.savez(
        file,
        prefill_isl=tokens,
        prefill_ttft_ms=np.array([1000 * timing.prefill(count) for count in tokens]),
        decode_active_kv_tokens=held,
        decode_context_length=contexts,
        decode_itl=np.array([[1000 * timing.decode(max(1.0, kv / mean), kv) for mean in contexts] for kv in held]),
    )


def ours(case: Case, speed: float, replicas: int = 1) -> list[Outcome]:
    return [simulate(case.workload.every(replicas, first), case.engine, speed) for first in range(replicas)]


def compare_loads(case: Case, dynamo: Dynamo) -> Iterator[dict[str, Any]]:
    """One row a load, and one for the saturation load itself."""
    flood = simulate(case.workload, case.engine, FLOOD)
    count = len(case.workload.arrivals)
    mine, theirs = count / flood.finished, count / dynamo.replay(FLOOD)["duration"]
    yield {"load": "saturation", "rate": mine, "dynamo": theirs, "miss": mine / theirs - 1}
    for load in LOADS:
        speed = load * mine / case.workload.rate
        (outcome,), reference = ours(case, speed), dynamo.replay(speed)
        row: dict[str, Any] = {"load": load, "speed": speed}
        for name, value in (
            ("ttft_p50", outcome.ttft_percentile(0.5)), ("ttft_p95", outcome.ttft_percentile(0.95)),
            ("itl_mean", outcome.itl_mean()), ("itl_p95", outcome.itl_percentile(0.95)),
        ):  # fmt: skip
            row[name] = {"ours": value, "dynamo": reference[name], "miss": value / reference[name] - 1}
        yield row


def compare_replicas(case: Case, dynamo: Dynamo) -> Iterator[dict[str, Any]]:
    """Fewest replicas that keep the objective: by both, behind a round robin; and as planned from averages alone."""
    work = case.workload
    averages = Traffic(work.mean_prompt, work.mean_output, 0.0, 1 << 20)
    for multiple in case.rates:
        most = 64
        mine = next(n for n in range(1, most) if pooled_percentile(ours(case, multiple, n), 0.95) <= case.ttft_p95)
        theirs = mine
        while theirs > 1 and dynamo.replay(multiple, theirs - 1)["ttft_p95"] <= case.ttft_p95:
            theirs -= 1
        while dynamo.replay(multiple, theirs)["ttft_p95"] > case.ttft_p95:
            theirs += 1
        planned, _ = replicas_for(multiple * work.rate, case.engine, averages, case.ttft_p95, None)
        yield {"rate": multiple * work.rate, "ours": mine, "dynamo": theirs, "from_averages": planned}


def record(case: Case, python: str, folder: Path) -> None:
    """Write the head of a trace and Dynamo's figures for it."""
    work = case.workload
    head = Workload(
        work.arrivals[:RECORDED_REQUESTS], work.prompts[:RECORDED_REQUESTS], work.outputs[:RECORDED_REQUESTS],
        blocks=work.blocks[:RECORDED_REQUESTS],
    )  # fmt: skip
    short = replace(case, workload=head)
    dynamo = Dynamo(python, short, folder)
    rows = list(compare_loads(short, dynamo))
    dynamo.close()
    content = {
        "about": "First requests of a public trace (see dynamo_compare.py for source and licence) and what ai-dynamo "
        "1.6.1's offline replay gives for them with the engine below. Arrivals in ms from the first.",
        "engine": asdict(short.engine),
        "saturation": rows[0]["dynamo"],
        "loads": [
            {"speed": row["speed"], "load": row["load"]} | {name: row[name]["dynamo"] for name in COMPARED}
            for row in rows[1:]
        ],
        "arrivals_ms": [round(moment * 1000) for moment in head.arrivals],
        "prompts": list(head.prompts),
        "outputs": list(head.outputs),
        "blocks": [list(hashes) for hashes in head.blocks],
    }  # fmt: skip
    RECORDED.mkdir(exist_ok=True)
    name = case.name.replace(" ", "_")
    (RECORDED / f"{name}.json.gz").write_bytes(gzip.compress(json.dumps(content).encode(), mtime=0))


def show(case: Case, rows: Sequence[dict[str, Any]], replicas: Sequence[dict[str, Any]]) -> None:
    out = sys.stdout.write
    first = rows[0]
    out(f"\n{case.name}: {len(case.workload.arrivals)} requests, 8B on {case.gpu}, {case.kv_tokens} KV tokens\n")
    out(f"saturation load, requests/s: {first['rate']:.3f}, Dynamo {first['dynamo']:.3f} ({first['miss']:+.1%})\n")
    out("load  TTFT p50 s (Dynamo)         p95 s (Dynamo)            ITL mean ms (Dynamo)      p95 ms (Dynamo)\n")
    for row in rows[1:]:
        cells = [f"{row['load']:.0%} "]
        for name, scale in (("ttft_p50", 1), ("ttft_p95", 1), ("itl_mean", 1000), ("itl_p95", 1000)):
            found = row[name]
            text = f"{found['ours'] * scale:.3f} ({found['dynamo'] * scale:.3f}, {found['miss']:+.1%})"
            cells.append(f"{text:<26}")
        out(" ".join(cells).rstrip() + "\n")
    out(f"replicas for TTFT p95 <= {case.ttft_p95:g} s behind a round robin\n")
    for row in replicas:
        out(f"  {row['rate']:.2f} requests/s: {row['ours']}, Dynamo {row['dynamo']}; ")
        out(f"from averages alone {row['from_averages']}\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", required=True)
    parser.add_argument("--traces", type=Path, required=True)
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for case in cases(options.traces):
            if options.record:
                record(case, options.python, Path(folder))
                continue
            dynamo = Dynamo(options.python, case, Path(folder))
            show(case, list(compare_loads(case, dynamo)), list(compare_replicas(case, dynamo)))
            dynamo.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
