"""What a server says whose model fails."""

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from serving.local_engine.app import build
from serving.local_engine.loading import load
from serving.local_engine.options import parse
from serving.store import resolve


class Failing:
    """A model that works or not."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.broken = False

    def select(self, waiting: Any, limit: int) -> Any:
        return self._model.select(waiting, limit)

    def run(self, batch: Any) -> None:
        self._fail()
        self._model.run(batch)

    def probe(self) -> None:
        self._fail()
        self._model.probe()

    def _fail(self) -> None:
        if self.broken:
            raise RuntimeError("out of memory")


def test_failure_is_424_and_an_event_and_health_is_503_until_the_model_works_again(
    store: Path, capsys: pytest.CaptureFixture[str]
):
    weights = resolve(store, "ngram").path

    async def scenario() -> None:
        loaded = load(weights, workers=1, prefix_cache_tokens=0)
        model = Failing(loaded.model)
        options = parse(["--weights", str(weights), "--model-id", "test", "--port", "0"])
        serving = build(dataclasses.replace(loaded, model=model), options)
        body = {"inputs": "The", "parameters": {"max_new_tokens": 2}}
        failure = {"error": "Request failed during generation: out of memory", "error_type": "generation"}
        async with TestServer(serving.app) as server, aiohttp.ClientSession(server.make_url("/")) as client:
            assert (await client.get("/health")).status == 200
            model.broken = True
            answer = await client.post("/generate", json=body)
            assert (answer.status, await answer.json()) == (424, failure)
            streamed = await client.post("/generate_stream", json=body)
            assert streamed.status == 200
            assert '"error_type":"generation"' in await streamed.text()
            health = await client.get("/health")
            assert (health.status, await health.json()) == (503, {"error": "unhealthy", "error_type": "healthcheck"})
            metrics = await (await client.get("/metrics")).text()
            assert 'tgi_request_failure{err="generation"} 2\n' in metrics
            model.broken = False
            assert (await client.get("/health")).status == 200
            assert (await client.post("/generate", json=body)).status == 200

    asyncio.run(scenario())
    assert '"event":"batch failed"' in capsys.readouterr().out
