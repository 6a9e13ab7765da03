"""Measures a running replica and writes a calibration file: `python -m infra.planning.measure URL ... --out FILE`.

Speaks TGI's protocol (TGI, the local engine) or vLLM's, by `--engine`. Prefill: time to the first token of lone prompts
of growing length. Decode: time between tokens while so many requests run together. The replica must serve nobody else,
and prompts differ from each other in their first words, so that no prefix cache answers for the arithmetic.
"""

import argparse
import datetime
import itertools
import json
import statistics
import sys
import time
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.planning.performance.calibration import Point

_TEXT = "the ship went down to the sea and the men of the crew sang of home while rain fell on the deck"
_TIMEOUT_SECONDS = 600


@dataclass(frozen=True, slots=True)
class _Stream:
    first_seconds: float
    gaps: tuple[float, ...]


class Replica:
    """A model server under measurement."""

    def __init__(self, url: str, engine: str = "tgi") -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"{url} is not a URL; write one such as http://127.0.0.1:8080")
        self._url = url.rstrip("/")
        self._vllm = engine == "vllm"
        self._count = 0

    def prompt(self, tokens: int) -> tuple[str, int]:
        """Return a new prompt of about so many tokens, and how many the server counts."""
        self._count += 1
        text = f"{self._count * 7919} " + " ".join(itertools.islice(itertools.cycle(_TEXT.split()), tokens))
        counted = self._tokens(text)
        words = text.split()
        text = " ".join(words[: max(1, len(words) * tokens // max(1, counted))])
        return text, self._tokens(text)

    def _tokens(self, text: str) -> int:
        if self._vllm:
            return int(self._post("/tokenize", {"prompt": text})["count"])
        return len(self._post("/tokenize", {"inputs": text}))

    def stream(self, prompt: str, new_tokens: int) -> _Stream:
        """Return the times of one streamed answer."""
        path, body = self._request(prompt, new_tokens)
        begin = time.perf_counter()
        moments = []
        with self._open(path, body) as answer:
            for line in answer:
                if line.startswith(b"data:") and line[5:].strip() != b"[DONE]":
                    event = json.loads(line[5:])
                    if "error" in event:
                        raise RuntimeError(f"{self._url}: {event['error']}")
                    moments.append(time.perf_counter())
        if not moments:
            raise RuntimeError(f"{self._url} streamed no token")
        gaps = tuple(later - earlier for earlier, later in itertools.pairwise(moments))
        return _Stream(moments[0] - begin, gaps)

    def _request(self, prompt: str, new_tokens: int) -> tuple[str, dict[str, Any]]:
        if self._vllm:
            body = {"prompt": prompt, "max_tokens": new_tokens, "temperature": 0, "ignore_eos": True, "stream": True}
            return "/v1/completions", body
        return "/generate_stream", {
            "inputs": prompt,
            "parameters": {"max_new_tokens": new_tokens, "do_sample": False},
        }

    def _post(self, path: str, body: Any) -> Any:
        with self._open(path, body) as answer:
            return json.loads(answer.read())

    def _open(self, path: str, body: Any) -> Any:
        request = urllib.request.Request(  # noqa: S310 - the scheme is checked above
            self._url + path, json.dumps(body).encode(), {"content-type": "application/json"}
        )
        return urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS)  # noqa: S310


def prefill_points(replica: Replica, lengths: Sequence[int], repeats: int = 3) -> list[Point]:
    """Return the median time to the first token of lone prompts."""
    points = []
    for length in lengths:
        prompts = [replica.prompt(length) for _ in range(repeats)]
        seconds = statistics.median(replica.stream(text, 1).first_seconds for text, _ in prompts)
        points.append(Point("prefill", round(statistics.mean(count for _, count in prompts)), seconds))
    return points


def decode_points(replica: Replica, together: Sequence[int], prompt_tokens: int, new_tokens: int) -> list[Point]:
    """Return the median time between tokens while so many requests run."""
    points = []
    for requests in together:
        prompts = [replica.prompt(prompt_tokens) for _ in range(requests)]
        with ThreadPoolExecutor(requests) as pool:
            streams = list(pool.map(lambda prompt: replica.stream(prompt[0], new_tokens), prompts))
        gaps = [gap for stream in streams for gap in stream.gaps]
        if not gaps:
            raise RuntimeError("answers end after one token; measure with a model that goes on")
        held = round(sum(count + new_tokens / 2 for _, count in prompts))
        points.append(Point("decode", requests, statistics.median(gaps), held))
    return points


def main(arguments: list[str] | None = None) -> int:
    """Measure one replica and write its calibration file."""
    parser = argparse.ArgumentParser(prog="python -m infra.planning.measure", description=__doc__)
    parser.add_argument("url", help="of one replica, not of the gateway")
    parser.add_argument("--model", required=True, help="source name, e.g. meta-llama/Llama-3.1-8B-Instruct")
    parser.add_argument("--gpu", required=True, help="type as in stack files, e.g. l4")
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--engine", default="tgi", choices=("tgi", "vllm", "local"))
    parser.add_argument("--prompts", type=int, nargs="+", default=[128, 512, 1024, 2048], help="prompt tokens")
    parser.add_argument("--together", type=int, nargs="+", default=[1, 4, 8, 16], help="requests at once")
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    try:
        replica = Replica(options.url, options.engine)
        replica.stream(replica.prompt(options.prompts[0])[0], 4)  # the first request pays for lazy set-up
        points = prefill_points(replica, options.prompts)
        points += decode_points(replica, options.together, options.prompts[0], options.new_tokens)
    except (ValueError, RuntimeError, OSError) as error:
        sys.stderr.write(f"{options.url}: {error}\n")
        return 1
    content = {
        "model": options.model,
        "gpu": options.gpu,
        "shards": options.shards,
        "engine": options.engine,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "points": [
            {
                "kind": point.kind,
                "tokens": point.tokens,
                "kv_tokens": point.kv_tokens,
                "seconds": round(point.seconds, 6),
            }
            for point in points
        ],
    }
    options.out.write_text(json.dumps(content, indent=1) + "\n")
    sys.stdout.write(f"{len(points)} points in {options.out}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
