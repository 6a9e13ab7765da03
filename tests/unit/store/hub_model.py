"""A model as repositories on the hub hold them: two shards, and much that servers do not need."""

import json
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
SHARD_BYTES = 3_000_000
INDEX = {
    "metadata": {"total_size": 2 * SHARD_BYTES},
    "weight_map": dict(zip(("a", "b", "c"), (*SHARDS, SHARDS[0]), strict=True)),
}
KEPT = {
    "config.json": b'{"model_type": "llama"}',
    "generation_config.json": b"{}",
    "tokenizer.json": b'{"version": "1.0"}' * 1000,
    "tokenizer.model": b"sentencepiece",
    "chat_template.jinja": b"{{ messages }}",
    "LICENSE": b"terms",
    "1_Pooling/config.json": b"{}",
    "model.safetensors.index.json": json.dumps(INDEX).encode(),
    **{name: bytes([number]) * SHARD_BYTES for number, name in enumerate(SHARDS, 1)},
}
LEFT = {
    "README.md": b"words",
    ".gitattributes": b"*.bin lfs",
    "pytorch_model.bin": b"pickle",
    "pytorch_model.bin.index.json": b"{}",
    "consolidated.safetensors": b"the same once more",
    "original/params.json": b"{}",
    "onnx/model.onnx": b"onnx",
    "modeling.py": b"import os",
}
FILES = {**KEPT, **LEFT}


def stored(folder: Path) -> dict[str, bytes]:
    """What a staged folder holds besides its manifest."""
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    del found["manifest.json"]
    return found
