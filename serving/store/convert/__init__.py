"""From Hugging Face's safetensors to what the local engine loads, by numpy alone: no torch, no transformers."""

from serving.store.convert.recipe import RECIPES, Recipe

__all__ = ["RECIPES", "Recipe"]
