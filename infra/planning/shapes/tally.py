"""Counts the parameters and stored bytes of a transformer, tensor by tensor."""

from dataclasses import dataclass, field

from infra.planning.shapes.quantisation import BYTES, Quantisation


@dataclass(slots=True)
class Tally:
    """Running totals. `active` counts what one token passes through, for mixture models."""

    dtype: str
    quantisation: Quantisation | None = None
    parameters: int = 0
    active: float = 0.0
    stored: float = field(default=0.0)

    @property
    def stored_bytes(self) -> int:
        """Return stored bytes so far."""
        return round(self.stored)

    def plain(self, count: int, copies: int = 1) -> None:
        """Add tensors that are never quantised: embeddings, norms, biases, heads."""
        self.parameters += count * copies
        self.active += count * copies
        self.stored += count * copies * BYTES[self.dtype]

    def linear(
        self, inputs: int, outputs: int, *, bias: bool = False, copies: int = 1, active: float | None = None
    ) -> None:
        """Add `copies` of a layer's weight matrix; `active` of them see a given token (all, unless told)."""
        seen = copies if active is None else active
        self.parameters += inputs * outputs * copies
        self.active += inputs * outputs * seen
        if self.quantisation is None:
            self.stored += inputs * outputs * copies * BYTES[self.dtype]
        else:
            self.stored += self.quantisation.bytes_of(inputs, outputs) * copies
        if bias:
            self.plain(outputs, copies)

    def norm(self, width: int, *, bias: bool = False, copies: int = 1) -> None:
        """Add normalisations over `width` values."""
        self.plain(width * (2 if bias else 1), copies)


@dataclass(frozen=True, slots=True)
class Mixture:
    """Feed-forward experts of one block."""

    experts: int
    active: int
    ffn: int
    shared_ffn: int = 0
    """Width of the expert that every token passes; 0 for none."""
    shared_gate: bool = False
    router_bias: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """One decoder block, as the differences between families go."""

    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    gated: bool = True
    """Three feed-forward matrices (SwiGLU, GeGLU) instead of two."""
    qkv_bias: bool = False
    out_bias: bool = False
    ffn_bias: bool = False
    norms: int = 2
    norm_bias: bool = False
    qk_norm: bool = False
    """Normalised queries and keys, one weight a head dimension each."""
    mixture: Mixture | None = None

    def add_to(self, tally: Tally, copies: int) -> None:
        """Add `copies` blocks."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        tally.linear(self.hidden, queries, bias=self.qkv_bias, copies=copies)
        tally.linear(self.hidden, keys, bias=self.qkv_bias, copies=2 * copies)
        tally.linear(queries, self.hidden, bias=self.out_bias, copies=copies)
        tally.norm(self.hidden, bias=self.norm_bias, copies=self.norms * copies)
        if self.qk_norm:
            tally.norm(self.head_dim, copies=2 * copies)
        if self.mixture is None:
            self._feed_forward(tally, self.ffn, copies)
            return
        mixture = self.mixture
        self._feed_forward(tally, mixture.ffn, mixture.experts * copies, active=mixture.active * copies)
        # The router is a linear layer that every quantiser leaves alone.
        tally.plain(self.hidden * mixture.experts + (mixture.experts if mixture.router_bias else 0), copies)
        if mixture.shared_ffn:
            self._feed_forward(tally, mixture.shared_ffn, copies)
        if mixture.shared_gate:
            tally.plain(self.hidden, copies)

    def _feed_forward(self, tally: Tally, width: int, copies: int, active: float | None = None) -> None:
        ups = 2 if self.gated else 1
        tally.linear(
            self.hidden, width, bias=self.ffn_bias, copies=ups * copies, active=None if active is None else ups * active
        )
        tally.linear(width, self.hidden, bias=self.ffn_bias, copies=copies, active=active)
