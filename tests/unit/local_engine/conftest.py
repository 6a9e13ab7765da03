"""Real servers on free ports of 127.0.0.1, over a store staged once."""

import http.client
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from safetensors.numpy import load_file

from serving.local_engine.text import Text
from serving.store import resolve, stage_kit


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        """Payloads of server-sent events; [DONE] as a string."""
        lines = [line.removeprefix("data: ") for line in self.body.split("\n\n") if line.startswith("data: ")]
        return [line if line == "[DONE]" else json.loads(line) for line in lines]


class Stream:
    """An answer of events, of which the first was read."""

    def __init__(self, server: "Server", tokens: int) -> None:
        self._connection = server.connect()
        body = {"inputs": "It was", "parameters": {"max_new_tokens": tokens, "details": True}}
        self._connection.request("POST", "/generate_stream", json.dumps(body), {"content-type": "application/json"})
        self._response = self._connection.getresponse()
        first = self._response.readline()
        assert first.startswith(b"data: "), first

    def finish(self) -> list[Any]:
        """All further events."""
        lines = self._response.read().decode().split("\n\n")
        self.close()
        return [json.loads(line.strip().removeprefix("data: ")) for line in lines if line.strip()]

    def close(self) -> None:
        self._response.close()
        self._connection.close()


class Server:
    """A running server process."""

    def __init__(self, weights: Path, *flags: str) -> None:
        self.weights = weights
        command = [sys.executable, "-m", "serving.local_engine", "--weights", str(weights), "--model-id", "test"]
        self.process = subprocess.Popen(
            [*command, "--port", "0", *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert self.process.stdout is not None
        first = self.process.stdout.readline()
        assert '"ready"' in first, first + self.process.stderr.read()
        self.log = [json.loads(first)]
        self.port: int = self.log[0]["port"]
        self.url = f"http://127.0.0.1:{self.port}"
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.log.append(json.loads(line))

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def get(self, path: str) -> Answer:
        return self._call("GET", path, None, {})

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        content = body if isinstance(body, bytes | str) else json.dumps(body)
        return self._call("POST", path, content, {"content-type": "application/json", **headers})

    def _call(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Answer:
        connection = self.connect()
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read().decode())
        finally:
            connection.close()

    def metric(self, sample: str) -> float:
        """The value of a sample, labels included: name{label="value"}."""
        for line in self.get("/metrics").body.splitlines():
            if line.startswith(sample + " "):
                return float(line.rsplit(" ", 1)[1])
        raise KeyError(sample)

    def eventually(self, sample: str, value: float, seconds: float = 20) -> None:
        until = time.monotonic() + seconds
        while (found := self.metric(sample)) != value:
            assert time.monotonic() < until, f"{sample} is {found}, not {value}, after {seconds} s"
            time.sleep(0.02)

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(30)
        self._reader.join()
        if not self.process.stderr.closed:
            assert self.process.stderr.read() == "", "logs are JSON lines on stdout; anything else is a bug"
        self.process.stdout.close()
        self.process.stderr.close()
        return code


class BertReference:
    """BERT in numpy: post-norm blocks, full attention, exact GELU, mean pooling."""

    def __init__(self, folder: Path) -> None:
        self._weights = load_file(folder / "model.safetensors")
        config = json.loads((folder / "config.json").read_text())
        self._layers, self._heads = config["num_hidden_layers"], config["num_attention_heads"]
        self._text = Text(folder)

    def embed(self, sentence: str) -> np.ndarray:
        vector = self.hidden_states(self._text.encode(sentence)).mean(0)
        return vector / np.linalg.norm(vector)

    def hidden_states(self, ids: list[int]) -> np.ndarray:
        weights = self._weights
        x = weights["embeddings.word_embeddings.weight"][ids] + weights["embeddings.token_type_embeddings.weight"][0]
        x = self._norm(x + weights["embeddings.position_embeddings.weight"][: len(ids)], "embeddings.LayerNorm")
        for layer in range(self._layers):
            block = f"encoder.layer.{layer}."
            q, k, v = (
                self._dense(x, f"{block}attention.self.{part}").reshape(len(ids), self._heads, -1).transpose(1, 0, 2)
                for part in ("query", "key", "value")
            )
            scores = np.exp(q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1]))
            mixed = (scores / scores.sum(-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(x.shape)
            attended = self._dense(mixed, f"{block}attention.output.dense")
            x = self._norm(x + attended, f"{block}attention.output.LayerNorm")
            inner = self._dense(x, f"{block}intermediate.dense")
            inner = inner * 0.5 * (1 + np.vectorize(math.erf)(inner / math.sqrt(2)))
            x = self._norm(x + self._dense(inner, f"{block}output.dense"), f"{block}output.LayerNorm")
        return x

    def _norm(self, x: np.ndarray, name: str) -> np.ndarray:
        scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
        return scaled * self._weights[name + ".weight"] + self._weights[name + ".bias"]

    def _dense(self, x: np.ndarray, name: str) -> np.ndarray:
        return x @ self._weights[name + ".weight"].T + self._weights[name + ".bias"]


@pytest.fixture(scope="session")
def bert_reference() -> type[BertReference]:
    return BertReference


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("store")
    stage_kit(root)
    return root


@pytest.fixture(scope="module")
def serve_folder() -> Iterator[Callable[..., Server]]:
    """Starts servers by the folder of a stored version and flags; stops all with the module."""
    started: list[Server] = []

    def start(weights: Path, *flags: str) -> Server:
        started.append(Server(weights, *flags))
        return started[-1]

    yield start
    for server in started:
        server.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def serve(store: Path, serve_folder: Callable[..., Server]) -> Callable[..., Server]:
    """Starts servers by the name of a kit model and flags."""
    return lambda model, *flags: serve_folder(resolve(store, model).path, *flags)


@pytest.fixture
def stream() -> Iterator[Callable[[Server, int], Stream]]:
    """Opens streams; closes them with the test."""
    opened: list[Stream] = []

    def open_one(server: Server, tokens: int) -> Stream:
        opened.append(Stream(server, tokens))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@pytest.fixture(scope="module")
def chat(serve: Callable[..., Server]) -> Server:
    """The GPT with room for everything that a module does."""
    return serve("tiny-gpt2")
