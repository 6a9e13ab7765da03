"""Text to token ids and back, the latter token by token."""

import asyncio
from pathlib import Path

from tokenizers import Encoding, Tokenizer

_REPLACEMENT = "\ufffd"
_LONG = 8_192
"""Characters, read in a few milliseconds."""


class Text:
    """A tokenizer.json."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_truncation()  # files from sentence-transformers come with padding and truncation switched on
        self._tokenizer.no_padding()
        self.size = self._tokenizer.get_vocab_size()
        added = self._tokenizer.get_added_tokens_decoder()
        self.special = frozenset(index for index, token in added.items() if token.special)

    def encode(self, text: str) -> list[int]:
        """Token ids with what the tokenizer adds around a text."""
        return list(self._tokenizer.encode(text).ids)

    async def encoding(self, text: str) -> Encoding:
        """Token ids and where each stands in `text`. A long text is read on a thread: it takes up to a second."""
        if len(text) < _LONG:
            return self._tokenizer.encode(text)
        return await asyncio.to_thread(self._tokenizer.encode, text)

    def token(self, index: int) -> str:
        """The vocabulary's spelling of a token ("Ġwhale"); CTranslate2 takes prompts in it."""
        return str(self._tokenizer.id_to_token(index))

    def id(self, token: str) -> int | None:
        """The id of a vocabulary entry, if there is one."""
        return self._tokenizer.token_to_id(token)

    def decode(self, ids: list[int], *, special: bool = True) -> str:
        """The text of `ids`, without special tokens unless `special`."""
        return str(self._tokenizer.decode(ids, skip_special_tokens=not special))


class Detokenizer:
    """What each further token adds to the text.

    A token can be part of a character, and its text can depend on the token before it. As in TGI (decode_token in
    server/text_generation_server/models/model.py), text is held back until its last character is whole.
    """

    def __init__(self, text: Text) -> None:
        self._text = text
        self._ids: list[int] = []
        self._start = 0
        """From here on tokens are decoded: one that is known, for context, and those held back."""
        self._known = 0
        """Tokens whose text is out."""

    def push(self, index: int, *, last: bool = False) -> str:
        """The text that token `index` completes; with `last`, whatever was held back too."""
        self._ids.append(index)
        before = self._text.decode(self._ids[self._start : self._known])
        now = self._text.decode(self._ids[self._start :])
        if not last and (len(now) <= len(before) or now.endswith(_REPLACEMENT)):
            return ""
        self._start, self._known = self._known, len(self._ids)
        return now[len(before) :]
