"""The routes: OpenAI's, and what its clients look for beside them."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any

from anyio import to_thread
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from vtune.audio import FORMATS
from vtune.engines import extension_watermarks
from vtune.errors import VtuneError, reason
from vtune.runtime.hostnames import Names
from vtune.runtime.version import VTUNE_VERSION
from vtune.serve.access import LISTS, PUBLIC, Guard, refused, told_of
from vtune.serve.api_keys import Keys
from vtune.serve.backend import Backend
from vtune.serve.http_errors import Refusal, refusal_of, refusal_of_body
from vtune.serve.lifecycle import Lifecycle
from vtune.serve.listing import models_body, voices_body
from vtune.serve.prometheus import Metrics
from vtune.serve.registry import Registry
from vtune.serve.schemas import SpeechRequest
from vtune.serve.settings import ServeSettings
from vtune.serve.speech_endpoint import Speech

PAGE = {
    "/": ("vtune.serve", "page/page.html", "text/html"),
    "/page.js": ("vtune.serve", "page/page.js", "text/javascript"),
    "/page.css": ("vtune.serve", "page/page.css", "text/css"),
    "/base.css": ("vtune.webpage", "base.css", "text/css"),
}
REFUSED = {
    400: "the body is not what is asked for",
    401: "the API key is missing or wrong",
    403: "the server is not called by that name",
    404: "there is no such voice",
    408: "the body did not arrive",
    413: "the body is too large",
    415: "the body is no JSON",
    500: "the voice cannot be loaded",
    502: "vLLM answers in a way that makes no sense, or refuses vtune's key",
    503: "too many requests wait, vLLM is away, or the server is being stopped",
}
SPOKEN: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "sound as it is ready; or server-sent events, speech.audio.delta and speech.audio.done",
        "content": {kind.media_type: {} for kind in FORMATS.values()} | {"text/event-stream": {}},
    },
    **{status: {"description": told} for status, told in REFUSED.items()},
}


def create_app(
    registry: Registry,
    backend: Backend,
    settings: ServeSettings,
    *,
    keys: Keys | None = None,
    host: str = "127.0.0.1",
    write: Callable[[str], None] = print,
    log_text: bool = False,
    lifecycle: Lifecycle | None = None,
) -> ASGIApp:
    """Return the application.

    :param keys: who may ask; none for anybody on this machine.
    :param host: that it will be bound to.
    :param write: takes a line of the log, JSON.
    :param log_text: tell the log what was spoken.
    :param lifecycle: says when the server is being stopped.
    :raises EngineError: an extension is broken.
    """
    metrics, lifecycle = Metrics(), lifecycle or Lifecycle()
    speech = Speech(registry, backend, settings, metrics, extension_watermarks(), log_text=log_text)
    app = FastAPI(
        title="vtune", version=VTUNE_VERSION, docs_url=None, redoc_url=None, redirect_slashes=False,
        exception_handlers={
            RequestValidationError: _refuse_body, HTTPException: _refuse_request, Refusal: _refuse, VtuneError: _refuse,
            Exception: _refuse,
        },
    )  # fmt: skip

    @app.post("/v1/audio/speech", response_class=Response, responses=SPOKEN)
    async def speak(asked: SpeechRequest, request: Request) -> Response:
        """Speak a text."""
        return await speech.answer(asked, request)

    @app.get("/v1/audio/voices")
    async def voices() -> JSONResponse:
        """List the voices that are there now."""
        return JSONResponse(voices_body(await to_thread.run_sync(registry.voices), registry.aliases))

    @app.get("/v1/audio/models")  # where Open WebUI looks
    @app.get("/v1/models")
    async def models() -> JSONResponse:
        """List names for the model; any other name is as good."""
        return JSONResponse(models_body(settings.models))

    @app.get("/v1/models/{name:path}")
    async def model(name: str) -> JSONResponse:
        """Tell of one model: all are the same, whatever a client calls it."""
        return JSONResponse(models_body([name])["data"][0])

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Say that this process answers (liveness)."""
        return {"status": "ok", "version": VTUNE_VERSION}

    @app.api_route("/ready", methods=["GET", "HEAD"], responses={503: {"description": "not yet, or not any more"}})
    async def ready() -> JSONResponse:
        """Say whether requests are answered now, and what is missing (readiness)."""
        missing = ["the server is being stopped"] if lifecycle.draining else backend.missing()
        return JSONResponse(
            {"status": "not ready" if missing else "ready", "missing": missing}, 503 if missing else 200
        )

    @app.get("/metrics", response_class=PlainTextResponse)
    async def measured() -> PlainTextResponse:
        """Count, for Prometheus."""
        there = await to_thread.run_sync(registry.voices)
        return PlainTextResponse(metrics.text(backend.load(), len(there)), media_type="text/plain; version=0.0.4")

    for path, (package, name, kind) in PAGE.items():
        _add_file(app, path, (files(package) / name).read_bytes(), kind)
    # A character is six bytes of JSON at most, twelve beyond the first plane; the rest of a body is short.
    most_bytes = 12 * settings.max_characters + (16 << 10)
    public = PUBLIC | LISTS if settings.open_lists else PUBLIC
    return Guard(app, keys or Keys(), Names(host), most_bytes, metrics, write, public, lifecycle)


def _add_file(app: FastAPI, path: str, content: bytes, kind: str) -> None:
    async def file() -> Response:
        return Response(content, media_type=kind)

    app.add_api_route(path, file, include_in_schema=False)


async def _refuse(request: Request, error: Exception) -> Response:
    refusal = refusal_of(error)
    if refusal is not error:
        told_of(request.scope)["error"] = reason(error)
    return refused(request.scope, refusal)


async def _refuse_body(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return refused(request.scope, refusal_of_body(error.errors()))


async def _refuse_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405 and request.method == "OPTIONS":  # no CORS: pages of other hosts stay out
        return Response(status_code=204, headers=error.headers)
    told = {404: "there is nothing here", 405: "this is asked for in another way"}.get(error.status_code, error.detail)
    return refused(request.scope, Refusal(error.status_code, told, headers=error.headers))
