"""BERT encoders (BertModel), as used for sentence embeddings."""

from pathlib import Path
from typing import Any

from ctranslate2.specs import common_spec, transformer_spec

from serving.store.convert.layers import Weights, fp32, linear, norm
from serving.store.convert.recipe import Config
from serving.store.convert.vocabulary import tokens

_ACTIVATIONS = {"gelu": common_spec.Activation.GELU, "relu": common_spec.Activation.RELU}


def spec(config: Config, weights: Weights, source: Path) -> Any:
    """CTranslate2's form of the model; KeyError names a weight that is missing.

    Without the pooler: sentence embeddings are pooled from the last hidden states.
    """
    weights = {name.removeprefix("bert."): weight for name, weight in weights.items()}
    encoder = transformer_spec.TransformerEncoderSpec(
        config["num_hidden_layers"],
        config["num_attention_heads"],
        pre_norm=False,
        activation=_ACTIVATIONS[config.get("hidden_act", "gelu")],
        layernorm_embedding=True,
        num_source_embeddings=2,
        embeddings_merge=common_spec.EmbeddingsMerge.ADD,
    )
    encoder.scale_embeddings = False
    encoder.embeddings[0].weight = fp32(weights["embeddings.word_embeddings.weight"])
    encoder.embeddings[1].weight = fp32(weights["embeddings.token_type_embeddings.weight"])
    encoder.position_encodings.encodings = fp32(weights["embeddings.position_embeddings.weight"])
    norm(encoder.layernorm_embedding, weights, "embeddings.LayerNorm")
    for index, layer in enumerate(encoder.layer):
        block = f"encoder.layer.{index}"
        attention = f"{block}.attention"
        projections = (f"{attention}.self.{part}" for part in ("query", "key", "value"))
        linear(layer.self_attention.linear[0], weights, *projections)
        linear(layer.self_attention.linear[1], weights, f"{attention}.output.dense")
        norm(layer.self_attention.layer_norm, weights, f"{attention}.output.LayerNorm")
        linear(layer.ffn.linear_0, weights, f"{block}.intermediate.dense")
        linear(layer.ffn.linear_1, weights, f"{block}.output.dense")
        norm(layer.ffn.layer_norm, weights, f"{block}.output.LayerNorm")
    model = transformer_spec.TransformerEncoderModelSpec(encoder)
    vocabulary = tokens(source, len(weights["embeddings.word_embeddings.weight"]))
    model.register_vocabulary(vocabulary)
    model.config.unk_token = next(token for token in vocabulary if token in {"[UNK]", "<unk>"})
    model.config.layer_norm_epsilon = config.get("layer_norm_eps", 1e-12)
    return model
