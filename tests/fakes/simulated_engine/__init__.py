"""Simulated model servers, as far as routing can tell: how long prompts wait, and what their caches hold.

An engine takes prompts in turn, computes at a fixed speed what its prefix cache does not have, then decodes each answer
at a fixed pace; a request holds its KV blocks until it ends, blocks of ended requests stay cached until room is needed,
least recently used first and the ends of prompts before their beginnings. All engines of a server live in one process,
on a clock that may run faster than the wall's.

What it does not do: it has no model and no tokens; the prompt's text names its blocks (prompt.py), and an answer is as
long as `max_tokens` says. An answer is sent in two pieces, at its first token and at its end, not token by token.
Prompts are not split into chunks, and decoding neither slows prefills nor gets slower with the batch: rules that ignore
decode look better here than they are. It never refuses, fails or drains, has no shards, adapters or metrics, and speaks
only OpenAI's chat completions.

    python -m tests.fakes.simulated_engine --speedup 20 PORT...
"""

from tests.fakes.simulated_engine.engine import Engine, Event, Job, Pace
from tests.fakes.simulated_engine.prompt import BLOCK_TOKENS, blocks, text

__all__ = ["BLOCK_TOKENS", "Engine", "Event", "Job", "Pace", "blocks", "text"]
