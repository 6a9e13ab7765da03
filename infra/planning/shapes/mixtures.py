"""Decoders whose feed-forward layers are mixtures of experts."""

from infra.planning.shapes.config import Config
from infra.planning.shapes.decoders import block_of, decoder
from infra.planning.shapes.shape import Shape
from infra.planning.shapes.tally import Mixture


def mixtral(config: Config, family: str) -> Shape:
    """Return the shape of a Mixtral."""
    experts, active = config.count("num_local_experts"), config.count("num_experts_per_tok")
    block = block_of(config, mixture=Mixture(experts, active, config.count("intermediate_size")))
    return decoder(config, family, block, config.count("num_hidden_layers"))


def phimoe(config: Config, family: str) -> Shape:
    """Return the shape of a Phi 3.5 mixture."""
    experts, active = config.count("num_local_experts"), config.count("num_experts_per_tok")
    bias = config.flag("attention_bias", default=False)
    block = block_of(
        config, qkv_bias=bias, out_bias=bias, norm_bias=True,
        mixture=Mixture(experts, active, config.count("intermediate_size")),
    )  # fmt: skip
    return decoder(
        config, family, block, config.count("num_hidden_layers"),
        norm_bias=True, head_bias=config.flag("lm_head_bias", default=False),
    )  # fmt: skip


def qwen_moe(config: Config, family: str) -> Shape:
    """Return the shape of a Qwen 2 or 3 mixture."""
    new = family == "qwen3_moe"
    mixture = Mixture(
        config.count("num_experts"),
        config.count("num_experts_per_tok"),
        config.count("moe_intermediate_size"),
        shared_ffn=0 if new else config.count("shared_expert_intermediate_size"),
        shared_gate=not new,
    )
    sparse = block_of(config, qkv_bias=not new, qk_norm=new, mixture=mixture)
    dense = block_of(config, qkv_bias=not new, qk_norm=new)
    layers = config.count("num_hidden_layers")
    step = config.count("decoder_sparse_step", 1)
    plain = config.numbers("mlp_only_layers")
    sparse_layers = sum(1 for layer in range(layers) if layer not in plain and (layer + 1) % step == 0)
    return decoder(config, family, sparse, layers, dense_layers=layers - sparse_layers, dense_block=dense)
