"""Which fields of a `config.json` mean what, by family.

Sources: the `configuration_*.py` and `modeling_*.py` of each family in huggingface/transformers (4.57 and 5.x names).
"""

import difflib
from collections.abc import Callable, Mapping
from typing import Any

from infra.planning.errors import ShapeError, problem
from infra.planning.shapes.config import Config
from infra.planning.shapes.decoders import gemma, gemma3, gpt2, llama, phi, phi3, qwen2, qwen3
from infra.planning.shapes.encoders import bert, ngram, t5
from infra.planning.shapes.mixtures import mixtral, phimoe, qwen_moe
from infra.planning.shapes.shape import Shape


def read_shape(config: Mapping[str, Any], place: str, stored: int | None = None) -> Shape:
    """Return the shape that a config.json describes.

    `place` names the config in messages. `stored` is the size of the weight files where it is known (safetensors
    index or headers); it then replaces the formula. Raises ShapeError with every problem found.
    """
    family = str(config.get("model_type", ""))
    builder = FAMILIES.get(family)
    if builder is None:
        near = difflib.get_close_matches(family, FAMILIES, 1, 0.4)
        raise ShapeError(
            [
                problem(
                    f"{place}: model_type",
                    family or None,
                    "the planner knows no formula for this architecture" if family else "is missing",
                    f"{f'did you mean {near[0]}? ' if near else ''}known: {', '.join(sorted(FAMILIES))}",
                )
            ]
        )
    reader = Config(config, place)
    shape = builder(reader, family)
    reader.check()
    if shape.heads % shape.kv_heads:
        raise ShapeError(
            [
                problem(
                    f"{place}: num_key_value_heads",
                    shape.kv_heads,
                    f"does not divide {shape.heads} heads",
                    "correct it",
                )
            ]
        )
    if stored is None:
        return shape
    return shape.with_stored(stored)


FAMILIES: dict[str, Callable[[Config, str], Shape]] = {
    "bert": bert,
    "gemma": gemma,
    "gemma2": gemma,
    "gemma3": gemma3,
    "gemma3_text": gemma,
    "gpt2": gpt2,
    "llama": llama,
    "mistral": llama,
    "mixtral": mixtral,
    "ngram": ngram,
    "phi": phi,
    "phi3": phi3,
    "phimoe": phimoe,
    "qwen2": qwen2,
    "qwen2_moe": qwen_moe,
    "qwen3": qwen3,
    "qwen3_moe": qwen_moe,
    "roberta": bert,
    "t5": t5,
    "xlm-roberta": bert,
}
"""Reader of each family by `model_type`."""
