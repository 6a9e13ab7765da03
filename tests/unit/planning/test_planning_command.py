"""`python -m infra.planning`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from infra.planning.__main__ import main
from infra.planning.plan import PlanError, parse_plan

ROOT = Path(__file__).parents[3]
GOLDEN = Path(__file__).parent / "golden"


def test_prints_one_screen(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dev", "--root", str(ROOT)]) == 0
    assert capsys.readouterr().out == (GOLDEN / "dev.txt").read_text()


def test_prints_json_that_parses_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dev", "--json", "--root", str(ROOT)]) == 0
    assert parse_plan(capsys.readouterr().out).stack == "dev"


def test_compares_with_the_deployed_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deployed = json.loads((GOLDEN / "dev.json").read_text())
    deployed["models"][0]["replicas"] = 2
    deployed["assignments"][0]["replicas"] = 2
    deployed["nodes"][0]["count"] = 2
    file = tmp_path / "deployed.json"
    file.write_text(json.dumps(deployed))
    assert main(["dev", "--previous", str(file), "--root", str(ROOT)]) == 0
    text = capsys.readouterr().out
    assert "chat: 2 -> 1 replicas" in text
    assert "1. stop 1 of chat on small (owned)" in text


def test_problems_go_to_standard_error_with_file_and_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks" / "defaults.yaml").write_text("config: {}\n")
    (tmp_path / "stacks" / "Pulumi.bad.yaml").write_text(
        "config:\n  berth:platform: aws\n  berth:aws: {region: eu-central-1}\n  berth:gateway: {host: x.example.com}\n"
        "  berth:models:\n    chat:\n      engine: tgi\n"
        f"      source: hf://meta-llama/Llama-3.1-8B-Instruct@{'0' * 40}\n      context: 8192\n"
    )
    assert main(["bad", "--root", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("stacks/Pulumi.bad.yaml:3: aws.region = eu-central-1: no prices are known for this region")
    assert "refresh --region eu-central-1" in error


def test_a_plan_of_another_schema_is_refused() -> None:
    with pytest.raises(PlanError, match="schema = 99: is not 1"):
        parse_plan('{"schema": 99}')
    with pytest.raises(PlanError, match="cannot be read"):
        parse_plan('{"schema": 1}')


def test_planning_imports_no_pulumi() -> None:
    code = "import sys, infra.planning.__main__; sys.exit(any(name.split('.')[0] == 'pulumi' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
