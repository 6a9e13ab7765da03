"""From a stored version to a model that is ready to run."""

import json
from dataclasses import dataclass
from pathlib import Path

from serving.engines.base import Task
from serving.local_engine.chat import LAST_MESSAGE, ChatTemplate
from serving.local_engine.decoder import Decoder
from serving.local_engine.encoder import Encoder, pooling
from serving.local_engine.ngram_decoder import NGramDecoder
from serving.local_engine.seq2seq import Seq2Seq
from serving.local_engine.text import Text
from serving.store.convert.recipe import CT2_FOLDER
from serving.store.manifest import Manifest, verify

END = "<|endoftext|>"


@dataclass(frozen=True, slots=True)
class Loaded:
    """Everything that serving a model needs."""

    manifest: Manifest
    text: Text
    chat: ChatTemplate
    end_token: int | None
    model: Decoder | Seq2Seq | NGramDecoder | Encoder

    @property
    def pipeline_tag(self) -> str:
        """Hugging Face's word for the task."""
        if self.manifest.task is Task.EMBED:
            return "feature-extraction"
        return "text2text-generation" if self.manifest.family == "t5" else "text-generation"


def load(folder: Path, *, workers: int, prefix_cache_tokens: int) -> Loaded:
    """Verify the files of a stored version, load it and run it once. Raises serving.store.StoreError."""
    manifest = verify(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    text = Text(folder)
    end_token = config.get("eos_token_id", text.id(END))
    ct2 = folder / CT2_FOLDER
    model: Decoder | Seq2Seq | NGramDecoder | Encoder
    match manifest.family:
        case "gpt2":
            model = Decoder(ct2, text, end_token, workers=workers, prefix_cache_tokens=prefix_cache_tokens)
        case "t5":
            model = Seq2Seq(ct2, text, end_token, workers=workers)
        case "ngram":
            model = NGramDecoder(folder, end_token)
        case "bert":
            model = Encoder(ct2, pooling(folder), workers=workers)
        case other:
            raise ValueError(f"{folder}/manifest.json: family {other!r} is not served by the local engine")
    model.probe()
    chat = ChatTemplate(folder, fallback=LAST_MESSAGE if manifest.family == "t5" else None)
    return Loaded(manifest, text, chat, end_token, model)
