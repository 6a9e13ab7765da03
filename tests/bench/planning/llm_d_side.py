"""Runs inside the environment that has llm-d-planner[estimation]: sizes models from their configs, offline.

Input on stdin, one JSON a line: {"name", "config", "bytes", "dtype", "gpu_gib", "tp", "context"}.
"""

import json
import sys

import planner.capacity_planner as capacity
from transformers import AutoConfig

ARCHITECTURES = {
    "gemma2": "Gemma2ForCausalLM",
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "mixtral": "MixtralForCausalLM",
    "phi3": "Phi3ForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3_moe": "Qwen3MoeForCausalLM",
}


def main() -> None:
    for line in sys.stdin:
        job = json.loads(line)
        fields = dict(job["config"])
        kind = fields.pop("model_type")
        config = AutoConfig.for_model(kind, **fields, architectures=[ARCHITECTURES[kind]])
        # It counts parameters by type over the network (safetensors metadata); the same counts are given here.
        capacity.model_params_by_dtype = lambda *_, job=job, **__: {job["dtype"]: job["parameters"]}
        detail = capacity.KVCacheDetail(job["name"], config, job["context"], 1)
        left = capacity.allocatable_kv_cache_memory(
            job["name"], config, job["gpu_gib"], 0.9, tp=job["tp"], max_model_len=job["context"]
        )
        figures = {
            "weights_bytes": capacity.model_memory_req(job["name"], config) * 2**30,
            "kv_bytes_per_token": detail.per_token_memory_bytes,
            "kv_left_bytes": left * 2**30,
            "fits": left * 2**30 >= detail.per_token_memory_bytes * job["context"],
            "degrees": capacity.find_possible_tp(config),
        }
        sys.stdout.write(json.dumps(figures) + "\n")


main()
