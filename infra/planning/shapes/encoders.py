"""Encoders, and encoders with a decoder; and the kit's own n-gram model, which is neither."""

from infra.planning.shapes.config import Config
from infra.planning.shapes.quantisation import BYTES
from infra.planning.shapes.shape import Shape, Task
from infra.planning.shapes.tally import Block, Tally


def t5(config: Config, family: str) -> Shape:
    """Return the shape of a T5: encoder and decoder, relative positions, cross attention."""
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


def bert(config: Config, family: str) -> Shape:
    """Return the shape of a BERT, RoBERTa or XLM-RoBERTa encoder with its pooler."""
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


def ngram(config: Config, family: str) -> Shape:
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
