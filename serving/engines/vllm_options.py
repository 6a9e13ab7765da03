"""Options of vLLM: which a stack file may set, which the kit sets, and how to say what TGI calls by another name."""

from collections.abc import Mapping

from serving.engines.base import Option
from serving.engines.checks import adapters_check, json_object, number, one_of

SWITCH = one_of("true", "false")
"""The check of options that are `--name` or `--no-name`."""
_RANKS = ("8", "16", "32", "64", "128", "256", "320", "512")
_ROPE = """write hf-overrides: '{"rope_scaling": {"rope_type": "linear", "factor": 2.0}}'"""
_SPECULATE = """write speculative-config: '{"method": "ngram", "num_speculative_tokens": 3, "prompt_lookup_max": 4}'"""

OPTIONS: Mapping[str, Option] = {
    "async-scheduling": Option("plan the next step while the GPU works on this one", SWITCH),
    "block-size": Option("tokens of a KV cache block", one_of("16", "32", "64", "128")),
    "chat-template": Option("file of a chat template in place of the model's"),
    "chat-template-content-format": Option("form of message contents in the template", one_of("string", "openai")),
    "compilation-config": Option("compilation and CUDA graphs, as JSON", json_object),
    "cpu-offload-gb": Option("GiB of weights of each GPU to keep in host memory", number(0, 1000, whole=False)),
    "default-chat-template-kwargs": Option("arguments for the chat template, as JSON", json_object),
    "disable-custom-all-reduce": Option("exchange between GPUs by NCCL alone", SWITCH),
    "dtype": Option("number format of weights", one_of("float16", "bfloat16", "float32")),
    "enable-auto-tool-choice": Option("let the model call tools; needs tool-call-parser", SWITCH),
    "enable-chunked-prefill": Option("split long prompts", SWITCH),
    "enable-expert-parallel": Option("experts over GPUs instead of slices of each", SWITCH),
    "enable-prefix-caching": Option("keep the KV cache of prompt prefixes", SWITCH),
    "enforce-eager": Option("neither compile nor record CUDA graphs: starts sooner, runs slower", SWITCH),
    "generation-config": Option("where sampling defaults come from", one_of("auto", "vllm")),
    "gpu-memory-utilization": Option("share of the GPU's memory to use", number(0.05, 1, whole=False)),
    "hf-overrides": Option("changes to the model's config.json, as JSON", json_object),
    "kv-cache-dtype": Option(
        "number format of the KV cache", one_of("auto", "fp8", "fp8_e4m3", "fp8_e4m3fn", "fp8_e5m2")
    ),
    "limit-mm-per-prompt": Option("images, videos and the like of one prompt, as JSON", json_object),
    "load-format": Option("reader of the weights", one_of("auto", "safetensors", "fastsafetensors")),
    "lora-adapters": Option("adapters to load: name=/models/folder, separated by commas", adapters_check),
    "max-cpu-loras": Option("adapters kept in host memory", number(1, 1000)),
    "max-logprobs": Option("alternatives reported a token", number(0, 1000)),
    "max-lora-rank": Option("largest rank of an adapter", one_of("8", "16", "32", "64", "128", "256", "320", "512")),
    "max-loras": Option("adapters in one batch", number(1, 100)),
    "max-num-queued-tokens": Option("prompt tokens that wait for prefill; more requests get 503", number(1, 10**9)),
    "otlp-traces-endpoint": Option("traces go to this OpenTelemetry collector"),
    "override-generation-config": Option("sampling defaults, as JSON", json_object),
    "quantize": Option("weights are, or are loaded, quantized", one_of("awq", "compressed-tensors", "fp8", "gptq")),
    "reasoning-parser": Option("how this model marks its reasoning"),
    "scheduling-policy": Option("order of waiting requests", one_of("fcfs", "priority")),
    "seed": Option("of sampling where a request has none", number(0, 2**31 - 1)),
    "speculative-config": Option("how to guess tokens ahead, as JSON", json_object),
    "tokenizer-mode": Option("reader of the tokenizer", one_of("auto", "hf", "mistral")),
    "tool-call-parser": Option("how this model writes calls of tools"),
    "trust-remote-code": Option("run Python code that comes with the weights", SWITCH),
}
"""What a stack file may set."""

MANAGED: Mapping[str, str] = {
    "api-key": "keys belong to the gateway (vLLM's leaves /tokenize, /invocations and others open)",
    "data-parallel-size": "set replicas: each is a server of its own, and the gateway balances them",
    "disable-log-stats": "metrics are on always",
    "distributed-executor-backend": "it follows from the GPUs and nodes of a replica",
    "download-dir": "nothing is downloaded at start; set source",
    "enable-lora": "set lora-adapters",
    "enable-prompt-tokens-details": "it is on always: the gateway's accounts need cached tokens",
    "host": "pods listen on all addresses",
    "lora-modules": "set lora-adapters",
    "master-addr": "it follows from the nodes of a replica",
    "max-model-len": "set context",
    "max-num-batched-tokens": "set max_batch_prefill_tokens in the limits",
    "max-num-queued-reqs": "set concurrency",
    "max-num-seqs": "set concurrency",
    "model": "set source",
    "nnodes": "it follows from the nodes of a replica",
    "node-rank": "it follows from the nodes of a replica",
    "pipeline-parallel-size": "the planner splits every layer over the GPUs of a replica; set gpu and shards",
    "port": "it is 8080 for all engines",
    "quantization": "write quantize beside engine",
    "revision": "set source",
    "served-model-name": "it is the model's name in the stack file",
    "shutdown-timeout": "it is part of the drain contract",
    "tensor-parallel-size": "the planner sets it from gpu; set shards to choose it",
    "tokenizer": "it comes with the weights; set source",
}
"""What the kit sets, with where to set it instead."""

FOREIGN: Mapping[str, str] = {
    "attention": "vLLM picks the kernels for the GPU",
    "cuda-graphs": """write compilation-config: '{"cudagraph_capture_sizes": [1, 2, 4]}', or enforce-eager: true""",
    "cuda-memory-fraction": "write gpu-memory-utilization: a share of all memory, so 0.9 times the value",
    "disable-grammar-support": "guided decoding is always there",
    "enable-prefill-logprobs": "prompts' log-probabilities come with echo and logprobs in /v1/completions",
    "max-batch-size": "set concurrency",
    "max-best-of": "best_of is gone; the gateway limits n",
    "max-client-batch-size": "lists of prompts have no limit of their own, each prompt counts as a request",
    "max-stop-sequences": "stop sequences have no limit",
    "max-top-n-tokens": "write max-logprobs",
    "max-waiting-tokens": "every step takes new prompts along",
    "otlp-endpoint": "write otlp-traces-endpoint",
    "otlp-service-name": "it is the model's name",
    "payload-limit": "set gateway.max_body",
    "prefill-chunking": "write enable-chunked-prefill: true or false",
    "prefix-caching": "write enable-prefix-caching: true or false",
    "rope-factor": _ROPE,
    "rope-scaling": _ROPE,
    "speculate": _SPECULATE,
    "validation-workers": "one process reads and tokenizes requests",
    "waiting-served-ratio": "every step takes new prompts along",
}
"""TGI's options that have no namesake here, with what to write instead."""
