"""Prompts whose text says which prefix blocks they are made of.

A block is 512 tokens of four bytes, as English is on average: its number, 128 times over. So equal blocks are equal
text, whatever a router hashes, and an engine reads the numbers back.
"""

BLOCK_TOKENS = 512
BYTES_PER_TOKEN = 4
_UNIT = 16
_BLOCK_BYTES = BLOCK_TOKENS * BYTES_PER_TOKEN


def text(numbers: list[int], tokens: int) -> str:
    """A prompt of `tokens` tokens whose blocks have these numbers (below 10**15); the last one may be cut short."""
    whole = "".join(f"{number:0{_UNIT - 1}d} " * (_BLOCK_BYTES // _UNIT) for number in numbers)
    if not len(whole) - _BLOCK_BYTES < tokens * BYTES_PER_TOKEN <= len(whole):
        raise ValueError(f"{tokens} tokens do not fill {len(numbers)} blocks of {BLOCK_TOKENS}")
    return whole[: tokens * BYTES_PER_TOKEN]


def blocks(prompt: str) -> tuple[list[int], int]:
    """Numbers of the prompt's whole blocks, and its length in tokens. Only whole blocks can be cached."""
    starts = range(0, len(prompt) - _BLOCK_BYTES + 1, _BLOCK_BYTES)
    return [int(prompt[at : at + _UNIT - 1]) for at in starts], len(prompt) // BYTES_PER_TOKEN
