"""TGI's native routes: POST / /generate /generate_stream /tokenize, GET /info /v1/models."""

from typing import Any

from aiohttp import web

from serving.local_engine.answer import Answer
from serving.local_engine.caller import caller
from serving.local_engine.errors import ApiError, MalformedBodyError
from serving.local_engine.generation import Token
from serving.local_engine.parameters import Asked, Parameters, asked_for
from serving.local_engine.service import Service
from serving.local_engine.wire import compact, event_stream, json_object, string


class TgiRoutes:
    """Handlers over one TextService."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Register all routes."""
        router.add_post("/", self.compatible)
        router.add_post("/generate", self.generate)
        router.add_post("/generate_stream", self.generate_stream)
        router.add_post("/tokenize", self.tokenize)
        router.add_get("/info", self.info)
        router.add_get("/v1/models", self.models)

    async def generate(self, request: web.Request) -> web.StreamResponse:
        """One JSON object."""
        return await self._generate(request, await json_object(request), wrapped=False)

    async def generate_stream(self, request: web.Request) -> web.StreamResponse:
        """An event a token; errors are events too, after a status of 200."""
        return await self._stream(request, await json_object(request))

    async def compatible(self, request: web.Request) -> web.StreamResponse:
        """What InferenceClient calls: `stream` chooses, and the JSON object comes in a list.

        As in TGI, `return_full_text` is true here unless given, for models that continue their input.
        """
        body = await json_object(request)
        full = self._service.loaded.pipeline_tag == "text-generation"
        if body.get("stream"):
            return await self._stream(request, body, full_text=full)
        return await self._generate(request, body, wrapped=True, full_text=full)

    async def tokenize(self, request: web.Request) -> web.Response:
        """Ids, texts and places of the tokens of `inputs`."""
        inputs = string(await json_object(request), "inputs")
        encoding = await self._service.loaded.text.encoding(inputs)
        places = zip(encoding.ids, encoding.offsets, strict=True)
        return web.json_response(
            [{"id": index, "text": inputs[start:stop], "start": start, "stop": stop} for index, (start, stop) in places]
        )

    async def info(self, _request: web.Request) -> web.Response:
        """TGI 3's fields."""
        return web.json_response(self._service.info)

    async def models(self, _request: web.Request) -> web.Response:
        """OpenAI's list, of one."""
        name = self._service.model_id
        model = {"id": name, "object": "model", "created": 0, "owned_by": name}
        return web.json_response({"object": "list", "data": [model]})

    async def _generate(
        self, request: web.Request, body: dict[str, Any], *, wrapped: bool, full_text: bool = False
    ) -> web.Response:
        inputs, asked, full_text = self._asked(body, full_text=full_text)
        tokens: list[Token] = []
        async with self._service.text.answer(inputs, asked, caller(request)) as answer:
            async for more in answer:
                tokens += more
        result: dict[str, object] = {"generated_text": inputs * full_text + answer.text}
        if isinstance(asked, Parameters) and asked.details:
            result["details"] = _details(answer) | {"prefill": [], "tokens": [_token(token) for token in tokens]}
        headers = self._service.headers(inputs) | answer.headers
        return web.Response(
            body=compact([result] if wrapped else result), content_type="application/json", headers=headers
        )

    async def _stream(
        self, request: web.Request, body: dict[str, Any], *, full_text: bool = False
    ) -> web.StreamResponse:
        inputs, asked, full_text = self._asked(body, full_text=full_text)
        index = 0
        async with event_stream(request, self._service.headers(inputs)) as stream:
            try:
                async with self._service.text.answer(inputs, asked, caller(request)) as answer:
                    async for tokens in answer:
                        if not tokens:
                            await stream.keep_alive()
                            continue
                        events = []
                        for token in tokens:
                            index += 1
                            event = {"index": index, "token": _token(token), "generated_text": None, "details": None}
                            events.append(event)
                        if answer.finished:
                            events[-1]["generated_text"] = inputs * full_text + answer.text
                            if isinstance(asked, Parameters) and asked.details:
                                length = {"input_length": len(answer.generation.prompt)}
                                events[-1]["details"] = _details(answer) | length
                        await stream.send(*events)
            except ApiError as error:
                await stream.send(error.body)
        return stream.response

    def _asked(self, body: dict[str, Any], *, full_text: bool) -> tuple[str, Asked, bool]:
        asked = asked_for(body.get("parameters"), max_input_tokens=self._service.text.limits.max_input_tokens)
        if isinstance(asked, Parameters) and asked.return_full_text is not None:
            full_text = asked.return_full_text
        if not isinstance(full_text, bool):
            raise MalformedBodyError("`return_full_text` must be true or false")
        return string(body, "inputs"), asked, full_text


def _token(token: Token) -> dict[str, object]:
    return {"id": token.id, "text": token.text, "logprob": token.logprob, "special": token.special}


def _details(answer: Answer) -> dict[str, object]:
    generation = answer.generation
    return {
        "finish_reason": generation.finish,
        "generated_tokens": generation.generated,
        "seed": generation.seed,
    }
