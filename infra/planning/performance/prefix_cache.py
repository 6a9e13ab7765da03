"""The prefix cache of one replica."""

from collections import OrderedDict
from collections.abc import Sequence


class PrefixCache:
    """Prefix cache: prompt blocks by hash, least recently used first out, in the memory that requests leave."""

    def __init__(self, tokens: int, capacity: int) -> None:
        self.tokens = tokens
        self.capacity = capacity
        self.known: OrderedDict[int, None] = OrderedDict()

    def matched(self, hashes: Sequence[int]) -> int:
        """Return the tokens of a prompt that are cached, from its beginning."""
        count = 0
        for value in hashes:
            if value not in self.known:
                break
            self.known.move_to_end(value)
            count += 1
        return count * self.tokens

    def insert(self, hashes: Sequence[int], held: int) -> None:
        """Keep a prompt's blocks, and no more than fit beside `held` tokens of running requests."""
        for value in hashes:
            self.known[value] = None
            self.known.move_to_end(value)
        room = max(0, self.capacity - held) // self.tokens
        while len(self.known) > room:
            self.known.popitem(last=False)
