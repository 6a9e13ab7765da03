"""What staged models of the kit say about held-out text, run by CTranslate2."""

import math
from pathlib import Path

import ctranslate2
from tokenizers import Tokenizer

from serving.local_engine.training.scores import MAX_REPAIRED_TOKENS
from serving.store.convert.recipe import CT2_FOLDER

WINDOW = 512
"""Tokens that tiny-gpt2 sees at once."""
OVERLAP = 256
"""Tokens of a window that the window before has scored already; they are context only."""


def gpt2_perplexity(version: Path, ids: list[int], overlap: int = OVERLAP) -> float:
    """Return exp of the mean negative log-probability of each token of `ids` but the first, for a staged GPT-2.

    Windows of WINDOW tokens; a token has at least `overlap` tokens of context, where the stream has that many.
    """
    generator = ctranslate2.Generator(str(version / CT2_FOLDER), device="cpu", intra_threads=1)
    tokenizer = Tokenizer.from_file(str(version / "tokenizer.json"))
    pieces = [str(tokenizer.id_to_token(index)) for index in ids]
    total, scored = 0.0, 1
    for start in range(0, len(ids), WINDOW - overlap):
        window = pieces[start : start + WINDOW + 1]  # the last one is only predicted
        new = start + len(window) - scored
        if new > 0:
            (result,) = generator.score_batch([window])
            total -= sum(result.log_probs[-new:])
            scored += new
    return math.exp(total / (len(ids) - 1))


def repaired(version: Path, sentences: list[str]) -> list[str]:
    """Return what a staged T5 makes of each sentence, decoding greedily."""
    translator = ctranslate2.Translator(str(version / CT2_FOLDER), device="cpu", intra_threads=1)
    tokenizer = Tokenizer.from_file(str(version / "tokenizer.json"))
    results = translator.translate_batch(
        [tokenizer.encode(sentence).tokens for sentence in sentences],
        beam_size=1,
        max_batch_size=32,
        max_decoding_length=MAX_REPAIRED_TOKENS,
    )
    vocabulary = tokenizer.get_vocab()
    return [tokenizer.decode([vocabulary[piece] for piece in result.hypotheses[0]]) for result in results]
