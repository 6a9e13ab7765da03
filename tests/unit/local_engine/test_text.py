"""Tokens to text, piece by piece."""

import pytest

from serving.local_engine.stopping import FinishReason, Stopping
from serving.local_engine.text import Detokenizer, Text
from serving.store.kit import KIT


@pytest.fixture(scope="module")
def text() -> Text:
    return Text(KIT / "tiny-gpt2")


def pieces(text: Text, ids: list[int]) -> list[str]:
    detokenizer = Detokenizer(text)
    return [detokenizer.push(index, last=at == len(ids) - 1) for at, index in enumerate(ids)]


@pytest.mark.parametrize(
    "sentence", ["The whale, the whale!", "  two  spaces\n\nand lines", "na\u00efve caf\u00e9", "鯨 и 🐋!"]
)
def test_pieces_add_up_to_the_text(text, sentence):
    ids = text.encode(sentence)
    assert "".join(pieces(text, ids)) == sentence == text.decode(ids)


def test_character_made_of_several_tokens_comes_out_whole(text):
    ids = text.encode("🐋.")
    assert len(ids) == 5, "four bytes and a full stop"
    assert pieces(text, ids) == ["", "", "", "🐋", "."]


def test_incomplete_character_at_the_end_comes_out_as_a_replacement(text):
    ids = text.encode("a🐋")[:-1]
    assert "".join(pieces(text, ids)) == text.decode(ids)
    assert "\ufffd" in pieces(text, ids)[-1]


def test_special_tokens_are_known(text):
    assert text.special == {0, 1, 2}
    assert text.decode([0]) == "<|endoftext|>"
    assert text.decode([0], special=False) == ""


def test_limit_comes_before_the_end_token():
    stopping = Stopping(2, 0, ())
    assert stopping.final(5) is None
    assert stopping.final(0) is FinishReason.LENGTH
    assert Stopping(3, 0, ()).final(0) is FinishReason.EOS


@pytest.mark.parametrize(
    ("sequence", "texts", "expected"),
    [
        ("end", ["the ", "en", "d"], [None, None, FinishReason.STOP]),
        ("end", ["the end."], [None]),
        ("end", ["the end\n"], [FinishReason.STOP]),
        ("a.c", ["abc", "a.c"], [None, FinishReason.STOP]),
        ("x", ["y" * 500, "x"], [None, FinishReason.STOP]),
    ],
)
def test_stop_sequence_counts_where_a_token_ends_with_it(sequence, texts, expected):
    stopping = Stopping(100, 0, (sequence,))
    assert [stopping.matched(piece) for piece in texts] == expected
