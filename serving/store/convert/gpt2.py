"""GPT-2 (GPT2LMHeadModel)."""

from pathlib import Path
from typing import Any

from ctranslate2.specs import common_spec, transformer_spec

from serving.store.convert.layers import Weights, fp32, linear, norm
from serving.store.convert.recipe import Config
from serving.store.convert.vocabulary import tokens

_ACTIVATIONS = {
    "gelu_new": common_spec.Activation.GELUTanh,
    "gelu": common_spec.Activation.GELU,
    "relu": common_spec.Activation.RELU,
}


def spec(config: Config, weights: Weights, source: Path) -> Any:
    """CTranslate2's form of the model; KeyError names a weight that is missing."""
    weights = {name.removeprefix("transformer."): weight for name, weight in weights.items()}
    model = transformer_spec.TransformerDecoderModelSpec.from_config(
        config["n_layer"],
        config["n_head"],
        pre_norm=True,
        activation=_ACTIVATIONS[config.get("activation_function", "gelu_new")],
    )
    decoder = model.decoder
    decoder.scale_embeddings = False
    decoder.embeddings.weight = fp32(weights["wte.weight"])
    decoder.position_encodings.encodings = fp32(weights["wpe.weight"])
    for index, layer in enumerate(decoder.layer):
        block = f"h.{index}"
        norm(layer.self_attention.layer_norm, weights, f"{block}.ln_1")
        linear(layer.self_attention.linear[0], weights, f"{block}.attn.c_attn", transpose=True)
        linear(layer.self_attention.linear[1], weights, f"{block}.attn.c_proj", transpose=True)
        norm(layer.ffn.layer_norm, weights, f"{block}.ln_2")
        linear(layer.ffn.linear_0, weights, f"{block}.mlp.c_fc", transpose=True)
        linear(layer.ffn.linear_1, weights, f"{block}.mlp.c_proj", transpose=True)
    norm(decoder.layer_norm, weights, "ln_f")
    decoder.projection.weight = fp32(weights.get("lm_head.weight", weights["wte.weight"]))
    vocabulary = tokens(source, len(weights["wte.weight"]))
    model.register_vocabulary(vocabulary)
    end = vocabulary[config["eos_token_id"]]
    model.config.bos_token = model.config.eos_token = model.config.unk_token = end
    model.config.layer_norm_epsilon = config.get("layer_norm_epsilon", 1e-5)
    return model
