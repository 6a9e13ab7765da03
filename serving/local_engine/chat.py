"""From chat messages to a prompt, by the model's own Jinja template."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from jinja2 import TemplateError as JinjaError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from serving.local_engine.errors import InvalidRequestError, MalformedBodyError, TemplateError

LAST_MESSAGE = "{{ messages[-1]['content'] }}"
"""For encoder-decoders without a template: they map one text to one text."""


class ChatTemplate:
    """chat_template.jinja, or `chat_template` of tokenizer_config.json, rendered as transformers does."""

    def __init__(self, folder: Path, fallback: str | None = None) -> None:
        config = _tokenizer_config(folder)
        path = folder / "chat_template.jinja"
        source = path.read_text(encoding="utf-8") if path.is_file() else config.get("chat_template", fallback)
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals["raise_exception"] = _raise
        environment.filters["tojson"] = lambda value, **options: json.dumps(value, ensure_ascii=False, **options)
        self._template = environment.from_string(source) if isinstance(source, str) else None
        self._tokens = {name: _content(config.get(name)) for name in ("bos_token", "eos_token")}

    def prompt(self, messages: object) -> str:
        """The prompt for an OpenAI request's `messages`; TemplateError or InvalidRequestError when they do not fit."""
        checked = _messages(messages)
        if self._template is None:
            raise TemplateError("this model has no chat template; use /generate or /v1/completions")
        try:
            return self._template.render(messages=checked, add_generation_prompt=True, **self._tokens)
        except (JinjaError, TypeError, ValueError) as error:
            raise TemplateError(str(error)) from error


def _messages(messages: object) -> list[dict[str, str]]:
    if not isinstance(messages, list) or not messages:
        raise MalformedBodyError("`messages` must be a list of at least one message")
    checked = []
    for message in messages:
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise MalformedBodyError("each message must have a `role` and `content`")
        checked.append({"role": str(message["role"]), "content": _text(message.get("content"))})
    return checked


def _text(content: object) -> str:
    """`content` is a string or a list of parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise MalformedBodyError("`content` of a message must be a string or a list of parts")
    parts = []
    for part in content:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind != "text" or not isinstance(part.get("text"), str):
            raise InvalidRequestError(f"{kind or 'this'} modality is not supported")
        parts.append(part["text"])
    return "".join(parts)


def _tokenizer_config(folder: Path) -> dict[str, Any]:
    path = folder / "tokenizer_config.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _content(token: object) -> str:
    """A special token, written as a string or as an object with its content."""
    return str(token.get("content", "")) if isinstance(token, Mapping) else str(token or "")


def _raise(message: str) -> NoReturn:
    raise JinjaError(message)
