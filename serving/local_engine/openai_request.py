"""What the OpenAI routes share: their parameters, turned into TGI's as its router does, and their words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from serving.local_engine.errors import ApiError, InvalidRequestError, MalformedBodyError
from serving.local_engine.parameters import Asked, asked_for
from serving.local_engine.stopping import FinishReason
from serving.local_engine.text_service import TextLimits


@dataclass(frozen=True, slots=True)
class OpenAIRequest:
    """The part of a body that does not depend on the route."""

    parameters: Asked
    stream: bool
    include_usage: bool
    logprobs: bool

    @staticmethod
    def stream_error(error: ApiError) -> dict[str, object]:
        """TGI's event for an error in a stream; it says 422 whatever happened, also when overloaded."""
        return {"error": {"message": str(error), "http_status_code": 422}}


def openai_request(body: Mapping[str, Any], limits: TextLimits) -> OpenAIRequest:
    """Read the fields; MalformedBodyError where one has the wrong type.

    The model's name is not compared: TGI takes any and falls back to the base model.
    """
    options = body.get("stream_options") or {}
    if not isinstance(options, Mapping):
        raise MalformedBodyError("`stream_options` must be an object")
    asked: Asked
    if unsupported := _unsupported(body):
        asked = InvalidRequestError(f"the local engine does not support {', '.join(unsupported)}")
    else:
        asked = asked_for(_parameters(body), max_input_tokens=limits.max_input_tokens)
    return OpenAIRequest(
        parameters=asked,
        stream=_flag(body, "stream"),
        include_usage=_flag(options, "include_usage"),
        logprobs=_flag(body, "logprobs"),
    )


def finish_reason(reason: FinishReason) -> str:
    """OpenAI's word: an end token and a stop sequence are both `stop`."""
    return "length" if reason is FinishReason.LENGTH else "stop"


def _parameters(body: Mapping[str, Any]) -> dict[str, Any]:
    """As `try_into_generate` in TGI's router/src/lib.rs: a temperature of 0 means greedy, anything else sampling."""
    temperature = body.get("temperature")
    greedy = isinstance(temperature, int | float) and temperature == 0
    presence = body.get("presence_penalty")
    if presence is not None and (isinstance(presence, bool) or not isinstance(presence, int | float)):
        raise MalformedBodyError("`presence_penalty` must be a number")
    stop = body.get("stop")
    top_p = body.get("top_p")
    return {
        "do_sample": not greedy,
        "temperature": None if greedy else temperature,
        # OpenAI's default is 1, which clients may send; TGI refuses it, and so do the native routes here.
        "top_p": top_p,
        "repetition_penalty": None if not presence else presence + 2.0,  # TGI's reading of it
        "frequency_penalty": body.get("frequency_penalty"),
        "max_new_tokens": body.get("max_completion_tokens") or body.get("max_tokens"),
        "stop": [stop] if isinstance(stop, str) else stop,
        "seed": body.get("seed"),
        "details": True,
    }


def _unsupported(body: Mapping[str, Any]) -> list[str]:
    wanted = {
        "tools": bool(body.get("tools")),
        "response_format": (body.get("response_format") or {"type": "text"}) != {"type": "text"},
        "top_logprobs": bool(body.get("top_logprobs")),
        "logit_bias": bool(body.get("logit_bias")),
        "n": body.get("n") not in (None, 1),
        "suffix": body.get("suffix") is not None,
        "echo": bool(body.get("echo")),
        "best_of": body.get("best_of") not in (None, 1),
    }
    return [f"`{name}`" for name, wants in wanted.items() if wants]


def _flag(body: Mapping[str, Any], name: str) -> bool:
    """True or false; /v1/completions' `logprobs` is a number there, which TGI ignores."""
    value = body.get(name)
    if value is not None and not isinstance(value, bool) and name != "logprobs":
        raise MalformedBodyError(f"`{name}` must be true or false")
    return value is True
