"""TEI's routes: POST / /embed /v1/embeddings, GET /info."""

import base64
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from aiohttp import web

from serving.local_engine.caller import caller
from serving.local_engine.embed_service import Embedded, EmbedRequest, EmbedService
from serving.local_engine.errors import ApiError, InvalidRequestError, MalformedBodyError
from serving.local_engine.service import COMPUTE_TYPE
from serving.local_engine.wire import compact, json_object

_KINDS = {
    "validation": "Validation",
    "batch size exceeded": "Validation",
    "empty": "Empty",
    "overloaded": "Overloaded",
    "generation": "Backend",
}
"""ErrorType in TEI's router/src/lib.rs, which is serialised by the variants' names."""


class TeiRoutes:
    """Handlers over one EmbedService."""

    def __init__(self, service: EmbedService, model_id: str, info: Mapping[str, Any]) -> None:
        self._service, self._model_id, self._info = service, model_id, info

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Register all routes."""
        router.add_post("/", self.embed)
        router.add_post("/embed", self.embed)
        router.add_post("/v1/embeddings", self.embeddings)
        router.add_get("/info", self.info)

    async def embed(self, request: web.Request) -> web.Response:
        """A list of vectors, also for one input."""
        try:
            embedded = await self._service.embed(_asked(request, await json_object(request), "inputs"))
        except ApiError as error:
            body = {"error": str(error), "error_type": _KINDS.get(error.kind, error.kind)}
            return web.json_response(body, status=error.status)
        return _response(embedded.vectors.tolist(), embedded)

    async def embeddings(self, request: web.Request) -> web.Response:
        """OpenAI's form."""
        try:
            body = await json_object(request)
            encode = _encoder(body.get("encoding_format"))
            embedded = await self._service.embed(_asked(request, body, "input"))
        except ApiError as error:
            kind = _KINDS.get(error.kind, error.kind)
            return web.json_response({"message": str(error), "code": error.status, "type": kind}, status=error.status)
        data = [
            {"object": "embedding", "index": index, "embedding": encode(vector)}
            for index, vector in enumerate(embedded.vectors)
        ]
        usage = {"prompt_tokens": embedded.tokens, "total_tokens": embedded.tokens}
        return _response({"object": "list", "data": data, "model": self._model_id, "usage": usage}, embedded)

    async def info(self, _request: web.Request) -> web.Response:
        """TEI's fields."""
        return web.json_response(self._info)


def _asked(request: web.Request, body: Mapping[str, Any], field: str) -> EmbedRequest:
    given = body.get(field)
    single = isinstance(given, str)
    inputs = [given] if single else given
    if not isinstance(inputs, list) or not all(isinstance(text, str) for text in inputs):
        raise MalformedBodyError(f"`{field}` must be a string or a list of strings")
    if body.get("prompt_name") is not None:
        raise InvalidRequestError("this model has no prompts, so `prompt_name` cannot be used")
    direction = body.get("truncation_direction") or "right"
    if str(direction).lower() not in {"left", "right"}:
        raise MalformedBodyError("`truncation_direction` must be left or right")
    dimensions = body.get("dimensions")
    if dimensions is not None and (isinstance(dimensions, bool) or not isinstance(dimensions, int)):
        raise MalformedBodyError("`dimensions` must be a whole number")
    normalize, truncate = body.get("normalize"), body.get("truncate")
    if not all(flag is None or isinstance(flag, bool) for flag in (normalize, truncate)):
        raise MalformedBodyError("`normalize` and `truncate` must be true or false")
    by = caller(request)
    return EmbedRequest(
        inputs=inputs,
        single=single,
        truncate=bool(truncate),
        truncate_left=str(direction).lower() == "left",
        normalize=normalize is not False,
        dimensions=dimensions,
        route=by.route,
        request_id=by.request_id,
    )


def _encoder(name: object) -> Callable[[npt.NDArray[np.float32]], object]:
    """OpenAI's clients ask for base64 by default: little-endian float32."""
    match name or "float":
        case "float":
            return lambda vector: vector.tolist()
        case "base64":
            return lambda vector: base64.b64encode(vector.astype("<f4").tobytes()).decode()
    raise InvalidRequestError("`encoding_format` must be float or base64")


def _response(content: object, embedded: Embedded) -> web.Response:
    """TEI's headers: all times in whole milliseconds."""
    headers = {
        "x-compute-type": COMPUTE_TYPE,
        "x-compute-characters": str(embedded.characters),
        "x-compute-tokens": str(embedded.tokens),
        "x-compute-time": _milliseconds(embedded.total_seconds),
        "x-total-time": _milliseconds(embedded.total_seconds),
        "x-tokenization-time": _milliseconds(embedded.tokenization_seconds),
        "x-queue-time": _milliseconds(embedded.queue_seconds),
        "x-inference-time": _milliseconds(embedded.inference_seconds),
    }
    return web.Response(body=compact(content), content_type="application/json", headers=headers)


def _milliseconds(seconds: float) -> str:
    return str(int(seconds * 1000))
