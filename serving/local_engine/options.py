"""The server's command line."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """Checked flags."""

    weights: Path
    model_id: str
    host: str
    port: int
    max_input_tokens: int | None
    max_total_tokens: int | None
    max_concurrent_requests: int
    max_queued_requests: int
    max_client_batch_size: int | None
    workers: int
    prefix_cache_tokens: int
    drain_seconds: float
    token_delay: float
    """Seconds."""
    prompt_token_delay: float
    """Seconds."""


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line; exits with 2 and a message when it is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m serving.local_engine",
        allow_abbrev=False,
        description="Serve a stored model on CPU: TGI's protocol for text, TEI's for vectors.",
    )
    add = parser.add_argument
    add("--weights", type=Path, required=True, metavar="DIR", help="folder of a stored version (see serving.store)")
    add("--model-id", required=True, metavar="NAME", help="what /info and /v1/models call it")
    add("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    add("--port", type=_number(0, 65535), required=True, help="0 takes a free one and logs it")
    add("--max-input-tokens", type=_number(1), metavar="N", help="longest prompt (default: what the model can)")
    add("--max-total-tokens", type=_number(2), metavar="N", help="prompt and answer (default: the model's context)")
    add(
        "--max-concurrent-requests",
        type=_number(1),
        default=8,
        metavar="N",
        help="running at once (default %(default)s)",
    )
    add(
        "--max-queued-requests",
        type=_number(0),
        default=64,
        metavar="N",
        help="waiting; more get 429 (default %(default)s)",
    )
    add(
        "--max-client-batch-size",
        type=_number(1),
        metavar="N",
        help="inputs of a request (default: 4, or 32 for vectors)",
    )
    add(
        "--workers",
        type=_number(1, 64),
        default=2,
        metavar="N",
        help="batches at once, a core each (default %(default)s)",
    )
    add(
        "--prefix-cache-tokens",
        type=_number(0),
        default=8192,
        metavar="N",
        help="prompt tokens kept; 0: none (default %(default)s)",
    )
    add(
        "--drain-seconds",
        type=_seconds,
        default=30.0,
        metavar="S",
        help="for open requests after SIGTERM (default %(default)s)",
    )
    add(
        "--token-delay-ms",
        type=_seconds,
        default=0.0,
        metavar="MS",
        help="for tests: least time between an answer's tokens",
    )
    add(
        "--prompt-token-delay-ms",
        type=_seconds,
        default=0.0,
        metavar="MS",
        help="for tests: a prompt token not cached takes so long",
    )
    given = parser.parse_args(arguments)
    return Options(
        weights=given.weights,
        model_id=given.model_id,
        host=given.host,
        port=given.port,
        max_input_tokens=given.max_input_tokens,
        max_total_tokens=given.max_total_tokens,
        max_concurrent_requests=given.max_concurrent_requests,
        max_queued_requests=given.max_queued_requests,
        max_client_batch_size=given.max_client_batch_size,
        workers=given.workers,
        prefix_cache_tokens=given.prefix_cache_tokens,
        drain_seconds=given.drain_seconds,
        token_delay=given.token_delay_ms / 1000,
        prompt_token_delay=given.prompt_token_delay_ms / 1000,
    )


class _number:  # noqa: N801 - a type for argparse, which shows its name in messages
    """A whole number within bounds."""

    __name__ = "whole number"

    def __init__(self, least: int, most: int | None = None) -> None:
        self._least, self._most = least, most

    def __call__(self, text: str) -> int:
        value = int(text)
        if value < self._least or (self._most is not None and value > self._most):
            bounds = f"at least {self._least}" if self._most is None else f"from {self._least} to {self._most}"
            raise argparse.ArgumentTypeError(f"{value} must be {bounds}")
        return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1e6:
        raise argparse.ArgumentTypeError(f"{text} must be at least 0")
    return value
