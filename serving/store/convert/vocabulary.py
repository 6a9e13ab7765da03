"""The tokens of a tokenizer.json, as CTranslate2 wants them: a list by id."""

import json
from pathlib import Path


def tokens(source: Path, size: int) -> list[str]:
    """Every token of `source`/tokenizer.json by id, filled up to `size`, the rows of the embedding matrix."""
    content = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = content["model"]["vocab"]
    by_id: dict[int, str]
    if content["model"]["type"] == "Unigram":
        by_id = {index: piece[0] for index, piece in enumerate(vocabulary)}
    else:
        by_id = {index: token for token, index in vocabulary.items()}
    by_id |= {added["id"]: added["content"] for added in content.get("added_tokens", [])}
    if max(by_id) >= size:
        raise ValueError(f"{source}/tokenizer.json has a token of id {max(by_id)}; the model has {size} embeddings")
    return [by_id.get(index, f"<unused{index}>") for index in range(size)]
