"""T5 encoder-decoders (T5ForConditionalGeneration), 1.0 with ReLU and 1.1 with gated GELU."""

from pathlib import Path
from typing import Any

import numpy as np
from ctranslate2.specs import common_spec, transformer_spec

from serving.store.convert.layers import Weights, fp32, linear, norm
from serving.store.convert.recipe import Config
from serving.store.convert.vocabulary import tokens

_ACTIVATIONS = {
    "relu": common_spec.Activation.RELU,
    "gelu": common_spec.Activation.GELUTanh,  # T5's "gelu" has always been the tanh form
    "gelu_new": common_spec.Activation.GELUTanh,
}


def spec(config: Config, weights: Weights, source: Path) -> Any:
    """CTranslate2's form of the model; KeyError names a weight that is missing."""
    gated = str(config.get("feed_forward_proj", "relu")).startswith("gated")
    model = transformer_spec.TransformerSpec.from_config(
        (config["num_layers"], config.get("num_decoder_layers") or config["num_layers"]),
        config["num_heads"],
        pre_norm=True,
        activation=_ACTIVATIONS[config.get("dense_act_fn", "relu")],
        ffn_glu=gated,
        relative_attention_bias=True,
        rms_norm=True,
    )
    distance = int(config.get("relative_attention_max_distance", 128))
    _stack(model.encoder, weights, "encoder", gated=gated, distance=distance)
    _stack(model.decoder, weights, "decoder", gated=gated, distance=distance)
    model.decoder.projection.weight = fp32(weights.get("lm_head.weight", weights["shared.weight"]))
    # transformers 5 writes tie_word_embeddings=true for every T5 and keeps what matters here in its own key. Only set
    # it when true: False is written as an attribute that the loader refuses.
    if config.get("scale_decoder_outputs", config.get("tie_word_embeddings", True)):
        model.decoder.scale_outputs = np.float32(config["d_model"] ** -0.5)
    vocabulary = tokens(source, len(weights["shared.weight"]))
    model.register_source_vocabulary(vocabulary)
    model.register_target_vocabulary(vocabulary)
    model.config.bos_token = vocabulary[config.get("pad_token_id", 0)]
    model.config.eos_token = vocabulary[config.get("eos_token_id", 1)]
    model.config.unk_token = "<unk>" if "<unk>" in vocabulary else vocabulary[min(2, len(vocabulary) - 1)]
    model.config.decoder_start_token = vocabulary[config.get("decoder_start_token_id", 0)]
    model.config.layer_norm_epsilon = config.get("layer_norm_epsilon", 1e-6)
    return model


def _stack(stack: Any, weights: Weights, name: str, *, gated: bool, distance: int) -> None:
    """The encoder or the decoder."""
    embeddings = stack.embeddings[0] if isinstance(stack.embeddings, list) else stack.embeddings
    embeddings.weight = fp32(weights["shared.weight"])
    stack.scale_embeddings = False
    norm(stack.layer_norm, weights, f"{name}.final_layer_norm")
    bias = fp32(weights[f"{name}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"])
    for index, layer in enumerate(stack.layer):
        block = f"{name}.block.{index}.layer"
        attention = layer.self_attention
        linear(attention.linear[0], weights, *(f"{block}.0.SelfAttention.{part}" for part in "qkv"))
        linear(attention.linear[1], weights, f"{block}.0.SelfAttention.o")
        norm(attention.layer_norm, weights, f"{block}.0.layer_norm")
        attention.queries_scale = np.float32(1.0)  # T5 folds the scale into its initialisation
        attention.relative_attention_bias = bias  # the first block's, shared by all
        attention.relative_attention_max_distance = np.int32(distance)
        last = 1
        if name == "decoder":
            cross = layer.attention
            linear(cross.linear[0], weights, f"{block}.1.EncDecAttention.q")
            linear(cross.linear[1], weights, *(f"{block}.1.EncDecAttention.{part}" for part in "kv"))
            linear(cross.linear[2], weights, f"{block}.1.EncDecAttention.o")
            norm(cross.layer_norm, weights, f"{block}.1.layer_norm")
            cross.queries_scale = np.float32(1.0)
            last = 2
        dense = f"{block}.{last}.DenseReluDense"
        if gated:
            linear(layer.ffn.linear_0, weights, f"{dense}.wi_0")
            linear(layer.ffn.linear_0_noact, weights, f"{dense}.wi_1")
        else:
            linear(layer.ffn.linear_0, weights, f"{dense}.wi")
        linear(layer.ffn.linear_1, weights, f"{dense}.wo")
        norm(layer.ffn.layer_norm, weights, f"{block}.{last}.layer_norm")
