"""KV blocks of one engine: those in use, and those of ended requests that wait to be used again."""

from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(slots=True)
class Lease:
    """Blocks that a request holds."""

    blocks: Sequence[int]
    matched: int
    """So many of `blocks`, from the first on, were there already."""
    private: int
    """Blocks that no other request can use: those still to be computed, and those of the answer."""


class PrefixCache:
    """Like vLLM's: a block is cached once it is computed, and evicted when room is needed and nobody uses it."""

    def __init__(self, capacity: int) -> None:
        """`capacity` in blocks."""
        self.capacity = capacity
        self._idle: OrderedDict[int, None] = OrderedDict()
        """Cached and unused, the next to go first."""
        self._used: Counter[int] = Counter()
        """Cached and in use, by how many requests."""
        self._private = 0

    def match(self, blocks: Sequence[int]) -> int:
        """How many of the blocks are cached, counted from the first without a gap."""
        for i, block in enumerate(blocks):
            if block not in self._idle and block not in self._used:
                return i
        return len(blocks)

    def reserve(self, blocks: Sequence[int], extra: int) -> Lease | None:
        """Holds a prompt's whole blocks and `extra` more; None when there is no room until another request ends."""
        matched = self.match(blocks)
        need = len(blocks) - matched + extra
        idle_here = sum(block in self._idle for block in blocks[:matched])
        if len(self._used) + self._private + idle_here + need > self.capacity:
            return None
        for block in blocks[:matched]:
            self._use(block)
        while len(self._idle) + len(self._used) + self._private + need > self.capacity:
            self._idle.popitem(last=False)
        self._private += need
        return Lease(blocks, matched, need)

    def commit(self, lease: Lease) -> None:
        """The prompt is computed: others can use its blocks now."""
        computed = lease.blocks[lease.matched :]
        self._private -= len(computed)
        lease.private -= len(computed)
        for block in computed:
            self._use(block)
        lease.matched = len(lease.blocks)

    def release(self, lease: Lease) -> None:
        """The request has ended. The end of its prompt will be evicted before the beginning."""
        self._private -= lease.private
        for block in reversed(lease.blocks[: lease.matched]):
            self._used[block] -= 1
            if not self._used[block]:
                del self._used[block]
                self._idle[block] = None

    def _use(self, block: int) -> None:
        self._idle.pop(block, None)
        self._used[block] += 1
