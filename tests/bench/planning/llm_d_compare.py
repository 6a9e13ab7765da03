"""Memory and fit of ten models beside llm-d-planner's capacity planner.

    python -m tests.bench.planning.llm_d_compare --python PYTHON [--record]

PYTHON is the interpreter of an environment of its own with `llm-d-planner[estimation]` 0.3.3. Both sides get the same
config, parameter count, device memory and shards. Prints each figure side by side, and explains the differences:

- weights: the same product of parameters and bytes;
- KV bytes a token: the same formula, 2 x layers x KV heads x head size x bytes;
- room for the KV cache: both subtract activations measured on vLLM 0.19 (its constants). It subtracts them once for all
  shards, ours on each device, since every shard holds its own. Its own catalogue gives a 24 GB card 24 GiB; here both
  get the 22,888 MiB that AWS reports.

--record writes its figures where the default test run compares with them.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from infra.planning.catalogue import gpus
from infra.planning.fit import Fit, fit
from infra.planning.request import ModelRequest
from infra.planning.shapes import find_shape, known_models
from infra.planning.text import size

CASES = [
    ("meta-llama/Llama-3.1-8B-Instruct", "l4", 1),
    ("meta-llama/Llama-3.1-8B-Instruct", "l40s", 1),
    ("meta-llama/Llama-3.1-70B-Instruct", "l40s", 4),
    ("meta-llama/Llama-3.1-70B-Instruct", "h100", 1),
    ("mistralai/Mistral-7B-Instruct-v0.3", "a10g", 1),
    ("mistralai/Mixtral-8x7B-Instruct-v0.1", "a100-80", 2),
    ("Qwen/Qwen2.5-0.5B-Instruct", "t4", 1),
    ("Qwen/Qwen2.5-7B-Instruct", "l40s", 1),
    ("Qwen/Qwen2.5-32B-Instruct", "h100", 1),
    ("Qwen/Qwen3-30B-A3B", "h100", 1),
    ("google/gemma-2-9b-it", "l40s", 1),
    ("microsoft/Phi-3-mini-4k-instruct", "l4", 1),
]
CONTEXT = 4096
RECORDED = Path(__file__).parents[2] / "unit" / "planning" / "llm_d.json"
_TYPES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", required=True)
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    jobs = []
    for name, gpu, shards in CASES:
        shape = find_shape(name, name)
        jobs.append(
            {
                "name": name,
                "config": known_models()[name]["config"],
                "parameters": shape.parameters,
                "dtype": _TYPES[shape.dtype],
                "gpu_gib": gpus()[gpu].memory_bytes / 2**30,
                "tp": shards,
                "context": CONTEXT,
            }
        )
    ended = subprocess.run(
        [options.python, str(Path(__file__).parent / "llm_d_side.py")],
        input="\n".join(map(json.dumps, jobs)), capture_output=True, text=True, check=True,
    )  # fmt: skip
    if options.record:
        rows = [
            {"model": name, "gpu": gpu, "shards": shards, "context": CONTEXT} | json.loads(line)
            for (name, gpu, shards), line in zip(CASES, ended.stdout.splitlines(), strict=True)
        ]
        about = "llm-d-planner 0.3.3 (tests/bench/planning/llm_d_compare.py): weights, KV and fit in bytes"
        RECORDED.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")
    out = sys.stdout.write
    out(f"{'model':38}{'on':14}{'weights':22}{'KV a token':18}{'room for KV':22}fits\n")
    for (name, gpu, shards), line in zip(CASES, ended.stdout.splitlines(), strict=True):
        theirs = json.loads(line)
        shape = find_shape(name, name)
        request = ModelRequest("m", "vllm", name, shape, CONTEXT, 8)
        found = fit(request, gpus()[gpu], shards)
        fits = isinstance(found, Fit)
        room = found.kv_tokens * found.kv_bytes_per_token if isinstance(found, Fit) else 0
        weights = f"{size(shape.weights_bytes)} / {size(theirs['weights_bytes'])}"
        per_token = f"{shape.kv_bytes_per_token()} / {theirs['kv_bytes_per_token']}"
        left = f"{size(room)} / {size(max(0, theirs['kv_left_bytes']))}"
        verdict = f"{'yes' if fits else 'no'} / {'yes' if theirs['fits'] else 'no'}"
        out(f"{name.split('/')[1]:38}{f'{shards} x {gpu}':14}{weights:22}{per_token:18}{left:22}{verdict}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
