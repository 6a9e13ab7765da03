"""Decoders, dense: one function a family that is built differently."""

from typing import Any

from infra.planning.shapes.config import Config
from infra.planning.shapes.shape import Shape, Task
from infra.planning.shapes.tally import Block, Tally


def decoder(
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
    """Return the shape of `layers` blocks between embeddings and a head, `dense_layers` of them `dense_block`.

    `positions` are learned ones; `extra` are parameters that no text token passes (an image tower).
    """
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


def gpt2(config: Config, family: str) -> Shape:
    """Return the shape of a GPT-2: learned positions, tied head, biases everywhere."""
    hidden, heads = config.count("n_embd"), config.count("n_head")
    block = Block(
        hidden, heads, heads, config.divide(hidden, heads, "n_embd", "n_head"),
        config.count("n_inner", 4 * hidden),
        gated=False, qkv_bias=True, out_bias=True, ffn_bias=True, norm_bias=True,
    )  # fmt: skip
    positions = config.count("n_positions")
    return decoder(
        config, family, block, config.count("n_layer"), positions=positions, norm_bias=True, tied_by_default=True
    )


def block_of(config: Config, **changes: Any) -> Block:
    """Return a block as most configs name its fields."""
    hidden, heads = config.count("hidden_size"), config.count("num_attention_heads")
    head_dim = config.count("head_dim", 0) or config.divide(hidden, heads, "hidden_size", "num_attention_heads")
    kv_heads = config.count("num_key_value_heads", heads)
    return Block(hidden, heads, kv_heads, head_dim, config.count("intermediate_size", 0) or 4 * hidden, **changes)


def llama(config: Config, family: str) -> Shape:
    """Return the shape of a Llama or Mistral."""
    bias = config.flag("attention_bias", default=False)
    block = block_of(config, qkv_bias=bias, out_bias=bias, ffn_bias=config.flag("mlp_bias", default=False))
    return decoder(config, family, block, config.count("num_hidden_layers"))


def qwen2(config: Config, family: str) -> Shape:
    """Return the shape of a Qwen 2 or 2.5: biased queries, keys and values."""
    return decoder(config, family, block_of(config, qkv_bias=True), config.count("num_hidden_layers"))


def qwen3(config: Config, family: str) -> Shape:
    """Return the shape of a Qwen 3: normalised queries and keys."""
    return decoder(config, family, block_of(config, qk_norm=True), config.count("num_hidden_layers"))


def gemma(config: Config, family: str) -> Shape:
    """Return the shape of a Gemma 1, 2 or 3 text model."""
    # Gemma 2 and 3 normalise before and after both halves of a block; Gemma 3 normalises queries and keys as well.
    block = block_of(config, norms=2 if family == "gemma" else 4, qk_norm=family.startswith("gemma3"))
    return decoder(config, family, block, config.count("num_hidden_layers"), tied_by_default=True)


def gemma3(config: Config, family: str) -> Shape:
    """Return the shape of a Gemma 3 with its image tower."""
    text = config.section("text_config")
    text.default("vocab_size", 262_208)  # of Gemma3TextConfig; the published files leave defaults out
    text.default("num_attention_heads", 8)
    text.default("num_key_value_heads", 4)
    text.default("head_dim", 256)
    text.default("max_position_embeddings", 131_072)
    block = block_of(text, norms=4, qk_norm=True)
    extra = _siglip(config.section("vision_config"), block.hidden) if config.has("vision_config") else 0
    shape = decoder(text, family, block, text.count("num_hidden_layers"), tied_by_default=True, extra=extra)
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


def phi(config: Config, family: str) -> Shape:
    """Return the shape of a Phi 1 or 2."""
    # Phi 1 and 2: attention and feed-forward side by side behind one norm.
    block = block_of(config, gated=False, qkv_bias=True, out_bias=True, ffn_bias=True, norms=1, norm_bias=True)
    return decoder(config, family, block, config.count("num_hidden_layers"), norm_bias=True, head_bias=True)


def phi3(config: Config, family: str) -> Shape:
    """Return the shape of a Phi 3 or 4: Llama with fused matrices."""
    return decoder(config, family, block_of(config), config.count("num_hidden_layers"))
