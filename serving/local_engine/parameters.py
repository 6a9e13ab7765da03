"""The `parameters` of a TGI request, checked as TGI's router does (router/src/validation.rs), with its messages."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from serving.local_engine.errors import InvalidRequestError, MalformedBodyError
from serving.local_engine.sampling import Sampling

MAX_STOP_SEQUENCES = 4
"""TGI's default."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a request asks for besides its text."""

    sampling: Sampling
    seed: int | None
    """Kept only where sampling makes it matter."""
    max_new_tokens: int | None
    stop: tuple[str, ...]
    truncate: int | None
    """Keep only so many tokens of the prompt's end."""
    details: bool
    return_full_text: bool | None


Asked = Parameters | InvalidRequestError
"""Parameters, or the rule that they break: a stream reports it as an event, after the request was admitted."""


def asked_for(raw: Mapping[str, Any] | None, *, max_input_tokens: int) -> Asked:
    """`parameters`, with a broken rule as its result; a body of the wrong shape still raises MalformedBodyError."""
    try:
        return parameters(raw, max_input_tokens=max_input_tokens)
    except InvalidRequestError as error:
        return error


def parameters(asked: Mapping[str, Any] | None, *, max_input_tokens: int) -> Parameters:
    """Check everything that needs no tokenizer; InvalidRequestError names the parameter and the rule.

    No `parameters` at all means sampling (`default_parameters` in TGI's router/src/lib.rs); unknown ones are ignored.
    """
    if asked is None:
        asked = {"do_sample": True}
    if not isinstance(asked, Mapping):
        raise MalformedBodyError("`parameters` must be an object")
    _refuse_unsupported(asked)
    temperature = _number(asked, "temperature")
    _require(temperature is None or temperature > 0, "`temperature` must be strictly positive")
    penalty = _number(asked, "repetition_penalty")
    _require(penalty is None or penalty > 0, "`repetition_penalty` must be strictly positive")
    top_p = _number(asked, "top_p")
    _require(top_p is None or 0 < top_p < 1, "`top_p` must be > 0.0 and < 1.0")
    top_k = _whole(asked, "top_k")
    _require(top_k is None or top_k > 0, "`top_k` must be strictly positive")
    max_new_tokens = _whole(asked, "max_new_tokens")
    _require(max_new_tokens is None or max_new_tokens > 0, "`max_new_tokens` must be strictly positive")
    truncate = _whole(asked, "truncate")
    _require(
        truncate is None or 0 < truncate <= max_input_tokens,
        f"`truncate` must be strictly positive and less than {max_input_tokens}. Given: {truncate}",
    )
    stop = asked.get("stop") or []
    if not isinstance(stop, list) or not all(isinstance(sequence, str) for sequence in stop):
        raise MalformedBodyError("`stop` must be a list of strings")
    _require(
        len(stop) <= MAX_STOP_SEQUENCES,
        f"`stop` supports up to {MAX_STOP_SEQUENCES} stop sequences. Given: {len(stop)}",
    )
    seed = _whole(asked, "seed")
    _require(seed is None or 0 <= seed < 2**64, "`seed` must be >= 0 and < 2^64")
    # A warper other than its default means sampling, even if do_sample is false (NextTokenChooser in TGI's tokens.py).
    warped = temperature not in (None, 1.0) or top_k is not None or top_p is not None
    sampling = Sampling(
        greedy=not (_flag(asked, "do_sample") or warped),
        temperature=temperature or 1.0,
        top_k=top_k or 0,
        top_p=top_p or 1.0,
        repetition_penalty=penalty or 1.0,
    )
    return Parameters(
        sampling=sampling,
        seed=None if sampling.greedy else seed,
        max_new_tokens=max_new_tokens,
        stop=tuple(sequence for sequence in stop if sequence),
        truncate=truncate,
        details=_flag(asked, "details"),
        return_full_text=asked.get("return_full_text"),
    )


def _refuse_unsupported(asked: Mapping[str, Any]) -> None:
    """What TGI can do and the local engine cannot: refused, never ignored."""
    wanted = {
        "best_of": (_whole(asked, "best_of") or 1) > 1,
        "frequency_penalty": bool(_number(asked, "frequency_penalty")),
        "typical_p": asked.get("typical_p") is not None,
        "watermark": _flag(asked, "watermark"),
        "decoder_input_details": _flag(asked, "decoder_input_details"),
        "top_n_tokens": bool(_whole(asked, "top_n_tokens")),
        "grammar": asked.get("grammar") is not None,
        "adapter_id": asked.get("adapter_id") is not None,
    }
    refused = [f"`{name}`" for name, wants in wanted.items() if wants]
    _require(not refused, f"the local engine does not support {', '.join(refused)}")


def _require(holds: bool, rule: str) -> None:
    if not holds:
        raise InvalidRequestError(rule)


def _number(asked: Mapping[str, Any], name: str) -> float | None:
    value = asked.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MalformedBodyError(f"`{name}` must be a number")
    return float(value)


def _whole(asked: Mapping[str, Any], name: str) -> int | None:
    value = asked.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise MalformedBodyError(f"`{name}` must be a whole number")
    return value


def _flag(asked: Mapping[str, Any], name: str) -> bool:
    value = asked.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise MalformedBodyError(f"`{name}` must be true or false")
    return value
