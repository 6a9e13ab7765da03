"""Puts a loaded model, its scheduler, its metrics and its routes together."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from serving.engines.base import Task
from serving.local_engine.answer import Pace
from serving.local_engine.decoder import Decoder
from serving.local_engine.embed_service import EmbedLimits, EmbedService
from serving.local_engine.encoder import MAX_BATCH_TOKENS, Encoder
from serving.local_engine.errors import ApiError
from serving.local_engine.loading import Loaded
from serving.local_engine.metrics import Metric, render
from serving.local_engine.openai_chat import ChatRoutes
from serving.local_engine.openai_completions import CompletionRoutes
from serving.local_engine.options import Options
from serving.local_engine.parameters import MAX_STOP_SEQUENCES
from serving.local_engine.scheduler import Scheduler
from serving.local_engine.service import ENGINE, Service
from serving.local_engine.tei import TeiRoutes
from serving.local_engine.tei_metrics import TeiMetrics
from serving.local_engine.text_service import TextLimits, TextService
from serving.local_engine.tgi import TgiRoutes
from serving.local_engine.tgi_metrics import TgiMetrics
from serving.local_engine.wire import MAX_BODY_BYTES

ROUTER = "local-engine"


@dataclass(frozen=True, slots=True)
class Serving:
    """A running application's parts that its life cycle needs."""

    app: web.Application
    scheduler: Scheduler[Any]


class LimitsError(ValueError):
    """Limits that the model cannot keep."""


def build(loaded: Loaded, options: Options) -> Serving:
    """The application for a model; LimitsError when the options ask for more than the model can."""
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_errors])
    embeds = loaded.manifest.task is Task.EMBED
    scheduler, metrics = (_embedding if embeds else _generating)(app, loaded, options)

    async def health(_request: web.Request) -> web.Response:
        if await scheduler.check():
            return web.Response()
        return web.json_response({"error": "unhealthy", "error_type": "healthcheck"}, status=503)

    async def exposition(_request: web.Request) -> web.Response:
        return web.Response(text=render(metrics), headers={"content-type": "text/plain; version=0.0.4"})

    for path in ("/health", "/ping", "/"):  # as in TGI and TEI
        app.router.add_get(path, health)
    app.router.add_get("/metrics", exposition)
    return Serving(app, scheduler)


def _generating(app: web.Application, loaded: Loaded, options: Options) -> tuple[Scheduler[Any], tuple[Metric, ...]]:
    limits = _text_limits(loaded, options)
    model = loaded.model
    # Made after the metrics that read from it.
    scheduler: Scheduler[Any]
    metrics = TgiMetrics(
        max_input_tokens=limits.max_input_tokens,
        max_total_tokens=limits.max_total_tokens,
        max_batch_size=options.max_concurrent_requests,
        waiting=lambda: scheduler.waiting,
        running=lambda: list(scheduler.running),
        held_tokens=lambda: model.cached_tokens if isinstance(model, Decoder) else 0,
    )
    scheduler = _scheduler(loaded, options, metrics.observe_batch)
    pace = Pace(options.token_delay, options.prompt_token_delay)
    batch_size = options.max_client_batch_size or 4
    info = {
        "model_id": options.model_id,
        "model_sha": loaded.manifest.version,
        "model_pipeline_tag": loaded.pipeline_tag,
        # TGI's word for what may run and wait; beyond it requests get 429.
        "max_concurrent_requests": options.max_concurrent_requests + options.max_queued_requests,
        "max_best_of": 1,
        "max_stop_sequences": MAX_STOP_SEQUENCES,
        "max_input_tokens": limits.max_input_tokens,
        "max_total_tokens": limits.max_total_tokens,
        "validation_workers": 1,
        "max_client_batch_size": batch_size,
        "router": ROUTER,
        "version": ENGINE,
        "sha": None,
        "docker_label": None,
    }
    text = TextService(loaded, scheduler, metrics, limits, pace)
    service = Service(options.model_id, loaded, text, info, batch_size)
    for routes in (TgiRoutes(service), ChatRoutes(service), CompletionRoutes(service)):
        routes.add_to(app.router)
    return scheduler, metrics.all


def _embedding(app: web.Application, loaded: Loaded, options: Options) -> tuple[Scheduler[Any], tuple[Metric, ...]]:
    scheduler: Scheduler[Any]
    metrics = TeiMetrics(waiting=lambda: scheduler.waiting, running=lambda: list(scheduler.running))
    scheduler = _scheduler(loaded, options, metrics.observe_batch)
    assert isinstance(loaded.model, Encoder)  # noqa: S101 - what has the task of embedding
    limits = EmbedLimits(
        max_input_tokens=_within(options.max_input_tokens, loaded.manifest.context_tokens, "--max-input-tokens"),
        max_client_batch_size=options.max_client_batch_size or 32,
    )
    info = {
        "model_id": options.model_id,
        "model_sha": loaded.manifest.version,
        "model_dtype": "int8",
        "model_type": {"embedding": {"pooling": loaded.model.pooling}},
        "max_concurrent_requests": options.max_concurrent_requests + options.max_queued_requests,
        "max_input_length": limits.max_input_tokens,
        "max_batch_tokens": MAX_BATCH_TOKENS,
        "max_batch_requests": None,
        "max_client_batch_size": limits.max_client_batch_size,
        "auto_truncate": False,
        "tokenization_workers": 1,
        "version": ENGINE,
        "sha": None,
        "docker_label": None,
    }
    service = EmbedService(loaded.text, scheduler, metrics, limits, loaded.model.width)
    TeiRoutes(service, options.model_id, info).add_to(app.router)
    return scheduler, metrics.all


def _scheduler(loaded: Loaded, options: Options, observe: Callable[[Any], None]) -> Scheduler[Any]:
    return Scheduler(
        loaded.model,
        running=options.max_concurrent_requests,
        queued=options.max_queued_requests,
        workers=options.workers,
        observe=observe,
    )


def _text_limits(loaded: Loaded, options: Options) -> TextLimits:
    context = loaded.manifest.context_tokens
    total = _within(options.max_total_tokens, context, "--max-total-tokens")
    most = _within(options.max_input_tokens or total - 1, total - 1, "--max-input-tokens")
    return TextLimits(most, total)


def _within(asked: int | None, most: int, flag: str) -> int:
    if asked is not None and asked > most:
        raise LimitsError(f"{flag} is {asked}; this model takes at most {most}")
    return asked or most


@web.middleware
async def _errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """TGI's error bodies."""
    try:
        return await handler(request)
    except ApiError as error:
        return web.json_response(error.body, status=error.status)
