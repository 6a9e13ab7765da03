"""POST /v1/chat/completions as TGI answers it."""

import time
from typing import Any

from aiohttp import web

from serving.local_engine.answer import Answer
from serving.local_engine.caller import caller
from serving.local_engine.errors import ApiError, TemplateError
from serving.local_engine.generation import Token
from serving.local_engine.openai_request import OpenAIRequest, finish_reason, openai_request
from serving.local_engine.service import FINGERPRINT, Service
from serving.local_engine.wire import compact, event_stream, json_object


class ChatRoutes:
    """Handlers over one TextService."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Register the route."""
        router.add_post("/v1/chat/completions", self.chat)

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """Messages in, a message out, whole or in chunks."""
        body = await json_object(request)
        self._service.text.metrics.count.add()  # TGI counts these requests here and again when they generate
        asked = openai_request(body, self._service.text.limits)
        try:
            prompt = self._service.loaded.chat.prompt(body.get("messages"))
        except TemplateError as error:
            self._service.text.metrics.failure.add(error.reason)
            raise
        return await (self._stream if asked.stream else self._whole)(request, prompt, asked)

    async def _whole(self, request: web.Request, prompt: str, asked: OpenAIRequest) -> web.Response:
        tokens: list[Token] = []
        async with self._service.text.answer(prompt, asked.parameters, caller(request)) as answer:
            async for more in answer:
                tokens += more
        assert answer.generation.finish is not None  # noqa: S101 - an answer without an end raised
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": answer.text},
            "logprobs": _logprobs(tokens) if asked.logprobs else None,
            "finish_reason": finish_reason(answer.generation.finish),
        }
        result = self._head("chat.completion") | {"choices": [choice], "usage": answer.usage}
        headers = self._service.headers(prompt) | answer.headers
        return web.Response(body=compact(result), content_type="application/json", headers=headers)

    async def _stream(self, request: web.Request, prompt: str, asked: OpenAIRequest) -> web.StreamResponse:
        head = self._head("chat.completion.chunk")
        async with event_stream(request, self._service.headers(prompt)) as stream:
            try:
                async with self._service.text.answer(prompt, asked.parameters, caller(request)) as answer:
                    async for tokens in answer:
                        if not tokens:
                            await stream.keep_alive()
                            continue
                        events = [head | _chunk(token, logprobs=asked.logprobs) for token in tokens]
                        await stream.send(*events, *self._usage(head, answer, asked))
            except ApiError as error:
                await stream.send(asked.stream_error(error))
            await stream.send("[DONE]")
        return stream.response

    def _usage(self, head: dict[str, Any], answer: Answer, asked: OpenAIRequest) -> list[dict[str, Any]]:
        if not (answer.finished and asked.include_usage):
            return []
        return [head | {"choices": [], "usage": answer.usage}]

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "object": kind,
            "id": "",
            "created": int(time.time()),
            "model": self._service.model_id,
            "system_fingerprint": FINGERPRINT,
        }


def _chunk(token: Token, *, logprobs: bool) -> dict[str, Any]:
    choice = {
        "index": 0,
        "delta": {"role": "assistant", "content": "" if token.special else token.text},
        "logprobs": _logprobs([token]) if logprobs else None,
        "finish_reason": finish_reason(token.finish) if token.finish else None,
    }
    return {"choices": [choice], "usage": None}


def _logprobs(tokens: list[Token]) -> dict[str, Any]:
    return {
        "content": [{"token": token.text, "logprob": token.logprob, "top_logprobs": []} for token in tokens],
    }
