"""Which fields of a `config.json` mean what, by family. One function a family that is built differently.

Sources: the `configuration_*.py` and `modeling_*.py` of each family in huggingface/transformers (4.57 and 5.x names).
"""

import difflib
from collections.abc import Callable, Mapping
from typing import Any

from infra.planning.errors import ShapeError, problem
from infra.planning.shapes.config import Config
from infra.planning.shapes.quantisation import BYTES
from infra.planning.shapes.shape import Shape, Task
from infra.planning.shapes.tally import Block, Mixture, Tally


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


def _decoder(
    config: Config,
    family: str,
    block: Block,
    layers: int,
    *,
    dense_layers: int = 0,
    dense_block: Block | None = None,
    positions: int = 0,
    head_bias: bool = False,
    norm_bias: bool = False,
    tied_by_default: bool = False,
    extra: int = 0,
) -> Shape:
    tally = Tally(config.dtype, config.quantisation)
    vocabulary = config.count("vocab_size")
    tied = config.flag("tie_word_embeddings", tied_by_default)
    # A token reads one row of the embeddings; the head is a full product, tied or not.
    tally.plain(vocabulary * block.hidden)
    tally.active -= vocabulary * block.hidden
    tally.plain(positions * block.hidden)
    block.add_to(tally, layers - dense_layers)
    if dense_layers and dense_block is not None:
        dense_block.add_to(tally, dense_layers)
    tally.norm(block.hidden, bias=norm_bias)
    if tied:
        tally.active += vocabulary * block.hidden
    else:
        tally.plain(vocabulary * block.hidden)
    if head_bias:
        tally.plain(vocabulary)
    if extra:
        tally.plain(extra)
        tally.active -= extra
    window, windowed = config.window(layers)
    mixture = block.mixture
    return Shape(
        family=family,
        task=Task.GENERATE,
        parameters=tally.parameters,
        active_parameters=round(tally.active),
        layers=layers,
        hidden=block.hidden,
        heads=block.heads,
        kv_heads=block.kv_heads,
        head_dim=block.head_dim,
        ffn=mixture.active * mixture.ffn + mixture.shared_ffn if mixture else block.ffn,
        vocabulary=vocabulary,
        context=config.context(),
        dtype=config.dtype,
        weights_bytes=tally.stored_bytes,
        window=window,
        windowed_layers=windowed,
        quantisation=config.quantisation,
        experts=mixture.experts if mixture else 0,
        active_experts=mixture.active if mixture else 0,
        expert_parameters=3 * block.hidden * mixture.ffn * mixture.experts * (layers - dense_layers) if mixture else 0,
        resizable_dtype=config.quantisation is None,
    )


def _gpt2(config: Config, family: str) -> Shape:
    hidden, heads = config.count("n_embd"), config.count("n_head")
    block = Block(
        hidden, heads, heads, config.divide(hidden, heads, "n_embd", "n_head"),
        config.count("n_inner", 4 * hidden),
        gated=False, qkv_bias=True, out_bias=True, ffn_bias=True, norm_bias=True,
    )  # fmt: skip
    positions = config.count("n_positions")
    return _decoder(
        config, family, block, config.count("n_layer"), positions=positions, norm_bias=True, tied_by_default=True
    )


def _block(config: Config, **changes: Any) -> Block:
    hidden, heads = config.count("hidden_size"), config.count("num_attention_heads")
    head_dim = config.count("head_dim", 0) or config.divide(hidden, heads, "hidden_size", "num_attention_heads")
    kv_heads = config.count("num_key_value_heads", heads)
    return Block(hidden, heads, kv_heads, head_dim, config.count("intermediate_size", 0) or 4 * hidden, **changes)


def _llama(config: Config, family: str) -> Shape:
    bias = config.flag("attention_bias", default=False)
    block = _block(config, qkv_bias=bias, out_bias=bias, ffn_bias=config.flag("mlp_bias", default=False))
    return _decoder(config, family, block, config.count("num_hidden_layers"))


def _qwen2(config: Config, family: str) -> Shape:
    return _decoder(config, family, _block(config, qkv_bias=True), config.count("num_hidden_layers"))


def _qwen3(config: Config, family: str) -> Shape:
    return _decoder(config, family, _block(config, qk_norm=True), config.count("num_hidden_layers"))


def _mixtral(config: Config, family: str) -> Shape:
    experts, active = config.count("num_local_experts"), config.count("num_experts_per_tok")
    block = _block(config, mixture=Mixture(experts, active, config.count("intermediate_size")))
    return _decoder(config, family, block, config.count("num_hidden_layers"))


def _phimoe(config: Config, family: str) -> Shape:
    experts, active = config.count("num_local_experts"), config.count("num_experts_per_tok")
    bias = config.flag("attention_bias", default=False)
    block = _block(
        config, qkv_bias=bias, out_bias=bias, norm_bias=True,
        mixture=Mixture(experts, active, config.count("intermediate_size")),
    )  # fmt: skip
    return _decoder(
        config, family, block, config.count("num_hidden_layers"),
        norm_bias=True, head_bias=config.flag("lm_head_bias", default=False),
    )  # fmt: skip


def _qwen_moe(config: Config, family: str) -> Shape:
    new = family == "qwen3_moe"
    mixture = Mixture(
        config.count("num_experts"),
        config.count("num_experts_per_tok"),
        config.count("moe_intermediate_size"),
        shared_ffn=0 if new else config.count("shared_expert_intermediate_size"),
        shared_gate=not new,
    )
    sparse = _block(config, qkv_bias=not new, qk_norm=new, mixture=mixture)
    dense = _block(config, qkv_bias=not new, qk_norm=new)
    layers = config.count("num_hidden_layers")
    step = config.count("decoder_sparse_step", 1)
    plain = config.numbers("mlp_only_layers")
    sparse_layers = sum(1 for layer in range(layers) if layer not in plain and (layer + 1) % step == 0)
    return _decoder(config, family, sparse, layers, dense_layers=layers - sparse_layers, dense_block=dense)


def _gemma(config: Config, family: str) -> Shape:
    # Gemma 2 and 3 normalise before and after both halves of a block; Gemma 3 normalises queries and keys as well.
    block = _block(config, norms=2 if family == "gemma" else 4, qk_norm=family.startswith("gemma3"))
    return _decoder(config, family, block, config.count("num_hidden_layers"), tied_by_default=True)


def _gemma3(config: Config, family: str) -> Shape:
    text = config.section("text_config")
    text.default("vocab_size", 262_208)  # of Gemma3TextConfig; the published files leave defaults out
    text.default("num_attention_heads", 8)
    text.default("num_key_value_heads", 4)
    text.default("head_dim", 256)
    text.default("max_position_embeddings", 131_072)
    block = _block(text, norms=4, qk_norm=True)
    extra = _siglip(config.section("vision_config"), block.hidden) if config.has("vision_config") else 0
    shape = _decoder(text, family, block, text.count("num_hidden_layers"), tied_by_default=True, extra=extra)
    text.check()
    return shape


def _siglip(vision: Config, text_hidden: int) -> int:
    """Return the parameters of a SigLIP tower and Gemma 3's projector."""
    hidden, ffn = vision.count("hidden_size"), vision.count("intermediate_size")
    patch, image = vision.count("patch_size", 14), vision.count("image_size", 896)
    block = 4 * (hidden * hidden + hidden) + 2 * hidden * ffn + ffn + hidden + 4 * hidden
    embeddings = 3 * patch * patch * hidden + hidden + (image // patch) ** 2 * hidden
    vision.check()
    return vision.count("num_hidden_layers") * block + embeddings + 2 * hidden + hidden * text_hidden + hidden


def _phi(config: Config, family: str) -> Shape:
    # Phi 1 and 2: attention and feed-forward side by side behind one norm.
    block = _block(config, gated=False, qkv_bias=True, out_bias=True, ffn_bias=True, norms=1, norm_bias=True)
    return _decoder(config, family, block, config.count("num_hidden_layers"), norm_bias=True, head_bias=True)


def _phi3(config: Config, family: str) -> Shape:
    return _decoder(config, family, _block(config), config.count("num_hidden_layers"))


def _t5(config: Config, family: str) -> Shape:
    hidden, heads, head_dim = config.count("d_model"), config.count("num_heads"), config.count("d_kv")
    encoder = config.count("num_layers")
    decoder = config.count("num_decoder_layers", encoder)
    ffn, vocabulary = config.count("d_ff"), config.count("vocab_size")
    gated = str(config.raw("feed_forward_proj", "relu")).startswith("gated")
    tally = Tally(config.dtype, config.quantisation)
    tally.plain(vocabulary * hidden)
    attention = Block(hidden, heads, heads, head_dim, ffn, gated=gated)
    attention.add_to(tally, encoder + decoder)
    # Cross attention: four more matrices and a norm; then relative positions of each stack and the two last norms.
    inner = heads * head_dim
    tally.linear(hidden, inner, copies=3 * decoder)
    tally.linear(inner, hidden, copies=decoder)
    tally.norm(hidden, copies=decoder + 2)
    tally.plain(config.count("relative_attention_num_buckets", 32) * heads, 2)
    # T5 1.1 and Flan keep a head of their own, the first T5 ties it.
    if not config.flag("tie_word_embeddings", default=True):
        tally.plain(vocabulary * hidden)
    return Shape(
        family=family,
        task=Task.GENERATE,
        parameters=tally.parameters,
        active_parameters=round(tally.active),
        layers=decoder,
        hidden=hidden,
        heads=heads,
        kv_heads=heads,
        head_dim=head_dim,
        ffn=ffn,
        vocabulary=vocabulary,
        context=config.count("n_positions", 512),
        dtype=config.dtype,
        weights_bytes=tally.stored_bytes,
        encoder_layers=encoder,
        quantisation=config.quantisation,
        resizable_dtype=config.quantisation is None,
    )


def _bert(config: Config, family: str) -> Shape:
    hidden, heads = config.count("hidden_size"), config.count("num_attention_heads")
    vocabulary, positions = config.count("vocab_size"), config.count("max_position_embeddings")
    tally = Tally(config.dtype, config.quantisation)
    tally.plain((vocabulary + positions + config.count("type_vocab_size", 2)) * hidden)
    tally.active -= tally.parameters
    tally.norm(hidden, bias=True)
    block = Block(
        hidden, heads, heads, config.divide(hidden, heads, "hidden_size", "num_attention_heads"),
        config.count("intermediate_size"),
        gated=False, qkv_bias=True, out_bias=True, ffn_bias=True, norm_bias=True,
    )  # fmt: skip
    layers = config.count("num_hidden_layers")
    block.add_to(tally, layers)
    tally.linear(hidden, hidden, bias=True)  # the pooler
    return Shape(
        family=family,
        task=Task.EMBED,
        parameters=tally.parameters,
        active_parameters=round(tally.active),
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=heads,
        head_dim=block.head_dim,
        ffn=block.ffn,
        vocabulary=vocabulary,
        # RoBERTa kinds start their positions after the padding index.
        context=positions - (2 if family in {"roberta", "xlm-roberta"} else 0),
        dtype=config.dtype,
        weights_bytes=tally.parameters * BYTES[config.dtype],
        quantisation=config.quantisation,
        resizable_dtype=config.quantisation is None,
    )


def _ngram(config: Config, family: str) -> Shape:
    """The kit's own n-gram model: tables, no layers, and no positions that would end a context."""
    return Shape(
        family=family,
        task=Task.GENERATE,
        parameters=1,
        active_parameters=1,
        layers=0,
        hidden=1,
        heads=1,
        kv_heads=1,
        head_dim=1,
        ffn=1,
        vocabulary=config.count("vocab_size"),
        context=config.count("context_tokens", 512),
        dtype="float16",
        weights_bytes=0,
        resizable_dtype=False,
    )


FAMILIES: dict[str, Callable[[Config, str], Shape]] = {
    "bert": _bert,
    "gemma": _gemma,
    "gemma2": _gemma,
    "gemma3": _gemma3,
    "gemma3_text": _gemma,
    "gpt2": _gpt2,
    "llama": _llama,
    "mistral": _llama,
    "mixtral": _mixtral,
    "ngram": _ngram,
    "phi": _phi,
    "phi3": _phi3,
    "phimoe": _phimoe,
    "qwen2": _qwen2,
    "qwen2_moe": _qwen_moe,
    "qwen3": _qwen3,
    "qwen3_moe": _qwen_moe,
    "roberta": _bert,
    "t5": _t5,
    "xlm-roberta": _bert,
}
"""Reader of each family by `model_type`."""
