"""The written map between engines agrees with the adapters. `UPDATE_GOLDEN=1` writes its tables anew."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from serving.engines import ENGINES, EngineError
from serving.engines.differences import tables

README = Path(__file__).resolve().parents[3] / "serving" / "engines" / "README.md"
BLOCK = re.compile(r"(<!-- begin: python -m serving\.engines tgi vllm -->\n).*?(<!-- end -->)", re.DOTALL)


def test_tables_of_the_readme_are_the_adapters() -> None:
    text = README.read_text(encoding="utf-8")
    current = BLOCK.sub(lambda found: f"{found[1]}\n{tables('tgi', 'vllm')}\n\n{found[2]}", text)
    if os.environ.get("UPDATE_GOLDEN"):
        README.write_text(current, encoding="utf-8")
    assert README.read_text(encoding="utf-8") == current, "UPDATE_GOLDEN=1 pytest tests/unit/engines writes it anew"


def test_every_option_of_tgi_has_a_namesake_on_vllm_or_words_for_it() -> None:
    tgi, vllm = ENGINES["tgi"], ENGINES["vllm"]
    assert set(tgi.options) <= set(vllm.options) | set(vllm.foreign)
    assert not set(vllm.foreign) & (set(vllm.options) | set(vllm.managed))


def test_words_for_options_name_options_that_exist() -> None:
    for made in ENGINES.values():
        for words in made.foreign.values():
            for name in re.findall(r"([a-z]+(?:-[a-z]+)+): ", words):
                assert name in made.options, f"{words!r} names {name}, which {made.name} has not"


def test_limits_of_the_plan_reach_both_engines() -> None:
    text = tables("tgi", "vllm")
    for row in (
        "| max_total_tokens | `MAX_TOTAL_TOKENS` | `--max-model-len` |",
        "| max_concurrent_requests | `MAX_BATCH_SIZE` | `--max-num-seqs` |",
        "| max_batch_prefill_tokens | `MAX_BATCH_PREFILL_TOKENS` | `--max-num-batched-tokens` |",
        "| running and queued together | `MAX_CONCURRENT_REQUESTS` | `--max-num-queued-reqs` |",
        "| shards | `NUM_SHARD` | `--tensor-parallel-size` |",
    ):
        assert row in text


def test_tables_are_printed_by_a_command_that_names_unknown_engines() -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "serving.engines", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert run("tgi", "vllm").stdout == f"{tables('tgi', 'vllm')}\n"
    assert (run("tgi").returncode, run("tgi", "vlm").returncode) == (2, 1)
    assert "did you mean 'vllm'?" in run("tgi", "vlm").stderr


def test_engines_without_a_common_task_have_no_tables() -> None:
    with pytest.raises(EngineError, match="engine tei does not serve task generate"):
        tables("tgi", "tei")
