"""Which files of a source are weights to keep, and which sources are refused."""

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any

from serving.store.errors import RefusedError
from serving.store.manifest import FILE_NAME
from serving.store.plain.origin import Remote

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
CONFIG = "config.json"

_KEPT = re.compile(r"[^/]+\.(json|jinja|model|txt|tiktoken)|(LICEN[CS]E|NOTICE|USE_POLICY)[^/]*", re.IGNORECASE)
"""At the top: configuration, tokenizer, templates, conditions of use. Neither code nor pictures nor README.md."""
_OTHER_INDEX = re.compile(r".*\.index\.json", re.IGNORECASE)
_MODULE = re.compile(r"\d+_\w+/(config\.json|model\.safetensors)|additional_chat_templates/[^/]+\.jinja")
"""Modules of sentence-transformers, and named chat templates. All other folders hold the weights in other forms."""
_PICKLED = re.compile(r".*\.(bin|pt|pth|ckpt|pkl|pickle)")
_OTHER_FORM = re.compile(r".*\.(gguf|ggml|h5|msgpack|onnx|tflite|ot|npz)")


def small(files: Sequence[Remote]) -> list[Remote]:
    """Everything but the weights at the top."""
    single = any(file.path == SINGLE for file in files)
    files = [file for file in files if file.path != FILE_NAME]  # the store writes its own
    kept = [file for file in files if _KEPT.fullmatch(file.path) or _MODULE.fullmatch(file.path)]
    return [file for file in kept if not _OTHER_INDEX.fullmatch(file.path) or (file.path == INDEX and not single)]


def weights(source: str, files: Sequence[Remote], index: Any) -> list[Remote]:
    """One set of weights at the top: `model.safetensors`, else those that the index names, else all there are.

    Some repositories hold the same weights twice, and engines that take all files of a folder would load both.
    `index` is the content of the index, None without one. Raises RefusedError.
    """
    by_path = {file.path: file for file in files}
    if SINGLE in by_path:
        return [by_path[SINGLE]]
    if index is not None:
        named = _named(source, index)
        missing = [path for path in named if path not in by_path]
        if missing:
            raise RefusedError(f"{source} lacks {', '.join(missing)}, which its {INDEX} names; choose a whole one")
        return [by_path[path] for path in named]
    found = [file for file in files if re.fullmatch(r"[^/]+\.safetensors", file.path)]
    if not found:
        raise RefusedError(f"{source} {_without_safetensors(by_path)}")
    return found


def check(source: str, files: Sequence[Remote]) -> None:
    """Raises RefusedError for what is no model, and for names that would lead out of its folder."""
    bad = [file.path for file in files if not _inside(file.path)]
    if bad:
        raise RefusedError(f"{source} holds {bad[0]!r}, which is no name of a file below its folder")
    if not files:
        raise RefusedError(f"{source} holds no files")
    if not any(file.path == CONFIG for file in files):
        raise RefusedError(f"{source} has no {CONFIG}; it must be a model as transformers saves them")


def _named(source: str, index: Any) -> list[str]:
    try:
        named = sorted(set(index["weight_map"].values()))
    except (KeyError, TypeError, AttributeError):
        raise RefusedError(f"{source}: {INDEX} has no weight_map; choose a whole one") from None
    wrong = [path for path in named if not isinstance(path, str) or not path.endswith(".safetensors")]
    if wrong:
        raise RefusedError(f"{source}: {INDEX} names {wrong[0]!r}, which is not a safetensors file")
    return named


def _without_safetensors(paths: Iterable[str]) -> str:
    pickled = sorted(path for path in paths if _PICKLED.fullmatch(path))
    if pickled:
        return (
            f"holds its weights only as pickle ({pickled[0]}), which can run code when it is loaded. Choose a commit "
            "with safetensors (often one waits among the model's pull requests on the hub, whose commit may be named), "
            "or convert them and give the folder or bucket"
        )
    other = sorted(path for path in paths if _OTHER_FORM.fullmatch(path))
    what = f"only {other[0]}" if other else "no weights"
    return f"holds {what}; weights must be *.safetensors files at the top of it"


def _inside(path: str) -> bool:
    pure = PurePosixPath(path)
    return bool(pure.parts) and not pure.is_absolute() and ".." not in pure.parts and "\\" not in path
