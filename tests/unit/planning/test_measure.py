"""The measuring job against a real replica of the local engine, and against answers in vLLM's form."""

import json
import os
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from infra.planning.measure import main
from infra.planning.performance.calibration import read_calibrations
from serving.engines.base import Limits
from serving.engines.base import Replica as Served
from serving.engines.registry import engine
from serving.store import stage
from serving.store.kit import KIT
from tests.support.portblock import free_port


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    weights = stage(KIT / "tiny-gpt2", tmp_path / "store", name="tiny-gpt2")
    port = free_port()
    local = engine("local")
    replica = Served("chat", str(weights.path), port, Limits(511, 512, 8))
    process = subprocess.Popen(
        local.command(replica),
        env=os.environ | local.env(replica),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    until = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"{address}/health", timeout=2).close()
            break
        except (urllib.error.URLError, ConnectionError):
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.1)
    yield address
    process.terminate()
    process.wait(60)


def test_writes_a_calibration_that_the_planner_reads(url: str, tmp_path: Path) -> None:
    folder = tmp_path / "calibration"
    folder.mkdir()
    arguments = [
        "--model",
        "tiny-gpt2",
        "--gpu",
        "l4",
        "--prompts",
        "40",
        "160",
        "--together",
        "1",
        "4",
        "--new-tokens",
        "16",
    ]
    assert main([url, *arguments, "--out", str(folder / "tiny.json")]) == 0
    (read,) = read_calibrations(folder)
    assert [(point.kind, point.tokens) for point in read.points if point.kind == "decode"] == [
        ("decode", 1),
        ("decode", 4),
    ]
    prefill = [point for point in read.points if point.kind == "prefill"]
    assert prefill[0].tokens == pytest.approx(40, rel=0.35)
    assert prefill[1].tokens == pytest.approx(160, rel=0.35)
    assert all(0 < point.seconds < 10 for point in read.points)


def test_a_replica_that_cannot_be_measured_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replica", "--model", "m", "--gpu", "l4", "--out", "x"]) == 1
    assert "replica is not a URL" in capsys.readouterr().err


class VllmAnswers(BaseHTTPRequestHandler):
    """Answers as a vLLM 0.32 gives them: a word is a token."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.end_headers()
        if self.path == "/tokenize":
            self.wfile.write(json.dumps({"count": len(asked["prompt"].split()), "max_model_len": 512}).encode())
            return
        assert (self.path, asked["stream"], asked["ignore_eos"]) == ("/v1/completions", True, True)
        for _ in range(asked["max_tokens"]):
            time.sleep(0.001)
            self.wfile.write(b'data: {"object":"text_completion","choices":[{"index":0,"text":" the"}]}\n\n')
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_vllm_is_measured_by_its_own_protocol(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), VllmAnswers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        arguments = ["--engine", "vllm", "--model", "m", "--gpu", "l4", "--prompts", "40", "--together", "1", "2"]
        url = f"http://127.0.0.1:{server.server_address[1]}"
        assert main([url, *arguments, "--new-tokens", "8", "--out", str(tmp_path / "m.json")]) == 0
        server.shutdown()
    (read,) = read_calibrations(tmp_path)
    assert read.engine == "vllm"
    assert [(point.kind, point.tokens) for point in read.points] == [("prefill", 40), ("decode", 1), ("decode", 2)]
    assert all(point.seconds > 0.0005 for point in read.points)
