"""Starts that are refused, each with an exit code and a message that says what to do."""

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from serving.store import resolve

pytestmark = pytest.mark.thorough


def start(weights: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "serving.local_engine", "--weights", str(weights), "--model-id", "test", *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def weights(store: Path, tmp_path: Path) -> Path:
    version = resolve(store, "tiny-gpt2")
    folder = tmp_path / "store" / "tiny-gpt2" / version.manifest.version
    return Path(shutil.copytree(version.path, folder))


def test_altered_weights_are_refused_before_loading(weights: Path):
    model = weights / "ct2" / "model.bin"
    content = bytearray(model.read_bytes())
    content[1_000_000] ^= 1
    model.write_bytes(content)
    refused = start(weights, "--port", "0")
    assert refused.returncode == 3
    assert "ct2/model.bin: expected sha256 " in refused.stderr
    assert "Stage the model again: python -m serving.store stage --root " in refused.stderr
    assert '"exit_code":3' in refused.stdout


def test_folder_without_a_manifest_is_refused(tmp_path: Path):
    refused = start(tmp_path, "--port", "0")
    assert refused.returncode == 3
    assert "holds no manifest.json" in refused.stderr


def test_busy_port_is_refused_by_name(weights: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = start(weights, "--port", str(port))
    assert refused.returncode == 4
    assert f"cannot listen on 127.0.0.1:{port}" in refused.stderr
    assert "choose another --port" in refused.stderr


def test_limits_beyond_the_model_are_refused(weights: Path):
    refused = start(weights, "--port", "0", "--max-total-tokens", "1024")
    assert refused.returncode == 2
    assert "--max-total-tokens is 1024; this model takes at most 512" in refused.stderr
    refused = start(weights, "--port", "0", "--max-input-tokens", "512")
    assert "--max-input-tokens is 512; this model takes at most 511" in refused.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--port", "x"], "argument --port: invalid whole number value: 'x'"),
        (["--port", "70000"], "argument --port: 70000 must be from 0 to 65535"),
        (["--port", "0", "--workers", "0"], "argument --workers: 0 must be from 1 to 64"),
        (["--port", "0", "--token-delay-ms", "-1"], "argument --token-delay-ms: -1 must be at least 0"),
        (["--port", "0", "--token-delay", "1"], "unrecognized arguments: --token-delay 1"),
        ([], "the following arguments are required: --port"),
    ],
)
def test_wrong_flags_are_refused(weights: Path, flags: list[str], message: str):
    refused = start(weights, *flags)
    assert refused.returncode == 2
    assert message in refused.stderr
