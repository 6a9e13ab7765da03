"""POST /v1/completions as TGI answers it: no log-probabilities, no echo, several prompts at once."""

import asyncio
import time
from typing import Any

from aiohttp import web

from serving.local_engine.answer import Answer
from serving.local_engine.caller import Caller, caller
from serving.local_engine.errors import ApiError, BatchSizeError, MalformedBodyError
from serving.local_engine.openai_request import OpenAIRequest, finish_reason, openai_request
from serving.local_engine.service import FINGERPRINT, Service
from serving.local_engine.stopping import FinishReason
from serving.local_engine.wire import EventStream, compact, event_stream, json_object


class CompletionRoutes:
    """Handlers over one TextService."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Register the route."""
        router.add_post("/v1/completions", self.completions)

    async def completions(self, request: web.Request) -> web.StreamResponse:
        """Each prompt is a choice, by its index."""
        body = await json_object(request)
        self._service.text.metrics.count.add()  # TGI counts these requests here and again when they generate
        asked = openai_request(body, self._service.text.limits)
        prompts = self._prompts(body)
        return await (self._stream if asked.stream else self._whole)(request, prompts, asked)

    async def _whole(self, request: web.Request, prompts: list[str], asked: OpenAIRequest) -> web.Response:
        async def complete(prompt: str) -> Answer:
            async with self._service.text.answer(prompt, asked.parameters, caller(request)) as answer:
                async for _ in answer:
                    pass
            return answer

        answers = await _together([complete(prompt) for prompt in prompts])
        choices = [_choice(index, answer.text, answer.generation.finish) for index, answer in enumerate(answers)]
        usage = _added([answer.usage for answer in answers])
        headers = self._service.headers("".join(prompts)) | _summed([answer.headers for answer in answers])
        result = self._head() | {"choices": choices, "usage": usage}
        return web.Response(body=compact(result), content_type="application/json", headers=headers)

    async def _stream(self, request: web.Request, prompts: list[str], asked: OpenAIRequest) -> web.StreamResponse:
        async with event_stream(request, self._service.headers("".join(prompts))) as stream:
            by = caller(request)
            usages = await _together(
                [self._complete(stream, index, prompt, asked, by) for index, prompt in enumerate(prompts)]
            )
            if asked.include_usage:
                await stream.send(self._head() | {"choices": [], "usage": _added([usage for usage in usages if usage])})
            await stream.send("[DONE]")
        return stream.response

    async def _complete(
        self, stream: EventStream, index: int, prompt: str, asked: OpenAIRequest, by: Caller
    ) -> dict[str, Any] | None:
        """Stream one prompt's answer; its usage, or None when it failed."""
        head = self._head()
        try:
            async with self._service.text.answer(prompt, asked.parameters, by) as answer:
                async for tokens in answer:
                    if not tokens:
                        await stream.keep_alive()
                        continue
                    texts = ("" if token.special else token.text for token in tokens)
                    events = [head | {"choices": [_choice(index, text, None)]} for text in texts]
                    if answer.finished:  # TGI leaves its own word here: eos_token, not stop
                        events[-1]["choices"][0]["finish_reason"] = answer.generation.finish
                    await stream.send(*events)
                return answer.usage
        except ApiError as error:
            await stream.send(asked.stream_error(error))
            return None

    def _prompts(self, body: dict[str, Any]) -> list[str]:
        given = body.get("prompt")
        prompts = [given] if isinstance(given, str) else given
        if not isinstance(prompts, list) or not prompts or not all(isinstance(prompt, str) for prompt in prompts):
            raise MalformedBodyError("`prompt` must be a string or a list of strings")
        most = self._service.max_client_batch_size
        if len(prompts) > most:
            self._service.text.metrics.failure.add("validation")
            raise BatchSizeError(f"Number of prompts exceeds the maximum allowed batch size of {most}")
        return prompts

    def _head(self) -> dict[str, Any]:
        return {
            "object": "text_completion",
            "id": "",
            "created": int(time.time()),
            "model": self._service.model_id,
            "system_fingerprint": FINGERPRINT,
        }


def _choice(index: int, text: str, reason: FinishReason | None) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": finish_reason(reason) if reason else None}


async def _together(work: list[Any]) -> list[Any]:
    """All results; the first error cancels the rest and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


def _added(usages: list[dict[str, Any]]) -> dict[str, Any]:
    total = {key: sum(usage[key] for usage in usages) for key in ("prompt_tokens", "completion_tokens", "total_tokens")}
    cached = sum(usage["prompt_tokens_details"]["cached_tokens"] for usage in usages)
    return total | {"prompt_tokens_details": {"cached_tokens": cached}}


def _summed(headers: list[dict[str, str]]) -> dict[str, str]:
    """TGI adds the headers of all prompts, but leaves out the time in seconds."""
    names = [name for name in headers[0] if name != "x-compute-time"]
    return {name: str(sum(int(one[name]) for one in headers)) for name in names}
