"""Reads fields of a config.json and keeps a list of all that is wrong with them."""

from collections.abc import Mapping
from typing import Any

from infra.planning.errors import Problem, ShapeError, problem
from infra.planning.shapes.quantisation import BYTES, Quantisation, read_quantisation

_ABSURD = 10**7
"""No published count (vocabulary, width, layers) is near this."""


class Config:
    """Fields of one (section of a) config.json. A bad field reads as 1 until `check` raises them all."""

    def __init__(self, values: Mapping[str, Any], place: str) -> None:
        self._values = dict(values)
        self._place = place
        self._problems: list[Problem] = []
        self.dtype = self._dtype()
        self.quantisation = self._quantisation()

    def check(self) -> None:
        """Raise ShapeError when any field was bad."""
        if self._problems:
            raise ShapeError(self._problems)

    def has(self, name: str) -> bool:
        """Return whether the field is there and not null."""
        return self._values.get(name) is not None

    def raw(self, name: str, default: object) -> object:
        """Return a field as it stands."""
        value = self._values.get(name)
        return default if value is None else value

    def default(self, name: str, value: object) -> None:
        """Set a field that the published file leaves to the library."""
        if self._values.get(name) is None:
            self._values[name] = value

    def section(self, name: str) -> "Config":
        """Return a nested section that inherits data type and quantisation."""
        values = dict(self._values.get(name) or {})
        for inherited in ("torch_dtype", "dtype", "quantization_config"):
            if values.get(inherited) is None and self._values.get(inherited) is not None:
                values[inherited] = self._values[inherited]
        return Config(values, f"{self._place}: {name}")

    def count(self, name: str, default: int | None = None) -> int:
        """Return a positive integer field. A default of 0 marks an optional one."""
        value = self._values.get(name)
        if value is None:
            if default is None:
                self._bad(name, None, "is missing", "take the config.json of the revision that is pinned")
                return 1
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < _ABSURD:
            self._bad(name, value, f"must be a whole number from 1 to {_ABSURD:,}", "correct the config")
            return 1
        return value

    def numbers(self, name: str) -> frozenset[int]:
        """Return a list of integers as a set; empty when the field is not there."""
        return frozenset(int(value) for value in self._values.get(name) or ())

    def flag(self, name: str, default: bool) -> bool:
        """Return a boolean field."""
        value = self._values.get(name)
        return default if value is None else bool(value)

    def divide(self, whole: int, parts: int, whole_name: str, parts_name: str) -> int:
        """Return `whole / parts`, which must come out even."""
        if whole % parts:
            self._bad(whole_name, whole, f"is not a multiple of {parts_name} ({parts})", "correct the config")
            return 1
        return whole // parts

    def context(self) -> int:
        """Return the longest sequence in tokens, stretched positions included."""
        length = self.count("max_position_embeddings", 0) or self.count("n_positions", 0)
        if not length:
            self._bad("max_position_embeddings", None, "is missing", "set it to the longest sequence in tokens")
            return 1
        scaling = self._values.get("rope_scaling")
        kind = scaling.get("rope_type", scaling.get("type")) if isinstance(scaling, Mapping) else None
        if kind in {"linear", "dynamic"} and isinstance(scaling, Mapping):
            return int(length * float(scaling.get("factor", 1)))
        return length

    def window(self, layers: int) -> tuple[int | None, int]:
        """Return the sliding window in tokens, and how many layers have it."""
        window = self._values.get("sliding_window")
        if not isinstance(window, int) or isinstance(window, bool) or self._values.get("use_sliding_window") is False:
            return None, 0
        types = self._values.get("layer_types")
        if isinstance(types, list):
            return window, sum(1 for kind in types if kind == "sliding_attention")
        pattern = self._values.get("sliding_window_pattern", 2 if self._values.get("model_type") == "gemma2" else None)
        if isinstance(pattern, int) and pattern > 1:
            return window, layers - layers // pattern
        return window, layers

    def _dtype(self) -> str:
        value = str(self._values.get("torch_dtype") or self._values.get("dtype") or "float32").removeprefix("torch.")
        if value not in BYTES:
            self._bad("torch_dtype", value, "is not a type with a known size", f"known: {', '.join(BYTES)}")
            return "float32"
        return value

    def _quantisation(self) -> Quantisation | None:
        try:
            return read_quantisation(self._values)
        except KeyError as error:
            self._bad(
                "quantization_config.quant_method", error.args[0], "has no known storage formula",
                "known: awq, gptq, fp8, bitsandbytes, mxfp4, compressed-tensors",
            )  # fmt: skip
            return None

    def _bad(self, name: str, value: object, rule: str, way_out: str) -> None:
        self._problems.append(problem(f"{self._place}: {name}", value, rule, way_out))
