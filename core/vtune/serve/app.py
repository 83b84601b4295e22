"""The HTTP routes: those of OpenAI's speech API, and further routes that its clients ask for."""

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

from vtune.engines import audio_formats, extension_watermarks
from vtune.errors import VtuneError, reason
from vtune.runtime.hostnames import ServerNames
from vtune.runtime.version import VTUNE_VERSION
from vtune.serve.access import LISTING_PATHS, PUBLIC_PATHS, AccessMiddleware, error_response, log_entry_of
from vtune.serve.api_keys import ApiKeys
from vtune.serve.backend import Backend
from vtune.serve.http_errors import HttpError, http_error_of, http_error_of_body
from vtune.serve.lifecycle import Lifecycle
from vtune.serve.listing import models_body, voices_body
from vtune.serve.prometheus import ServerMetrics
from vtune.serve.registry import VoiceRegistry
from vtune.serve.schemas import SpeechRequest
from vtune.serve.settings import ServeSettings
from vtune.serve.speech_endpoint import SpeechEndpoint

PAGE = {
    "/": ("vtune.serve", "page/page.html", "text/html"),
    "/page.js": ("vtune.serve", "page/page.js", "text/javascript"),
    "/page.css": ("vtune.serve", "page/page.css", "text/css"),
    "/base.css": ("vtune.webpage", "base.css", "text/css"),
}
ERROR_DESCRIPTIONS = {
    400: "a field of the body is missing or wrong",
    401: "the API key is missing or wrong",
    403: "the Host header is not a name of this server",
    404: "there is no such voice",
    408: "the body did not arrive",
    413: "the body is too large",
    415: "the content type is not application/json",
    500: "the voice cannot be loaded",
    502: "vLLM sends a response that vtune does not understand, or refuses vtune's key",
    503: "too many requests wait, vLLM does not answer, or the server is being stopped",
}


def create_app(
    registry: VoiceRegistry,
    backend: Backend,
    settings: ServeSettings,
    *,
    keys: ApiKeys | None = None,
    host: str = "127.0.0.1",
    write: Callable[[str], None] = print,
    log_text: bool = False,
    lifecycle: Lifecycle | None = None,
) -> ASGIApp:
    """Return the ASGI application of a server.

    :param keys: API keys; without any, programs of this machine alone are served.
    :param host: the address that the server will listen on.
    :param write: takes one line of the log, JSON.
    :param log_text: log the text of each request.
    :param lifecycle: says when the server is being stopped.
    :raises EngineError: an extension is broken.
    """
    metrics, lifecycle = ServerMetrics(), lifecycle or Lifecycle()
    speech = SpeechEndpoint(registry, backend, settings, metrics, extension_watermarks(), log_text=log_text)
    app = FastAPI(
        title="vtune", version=VTUNE_VERSION, docs_url=None, redoc_url=None, redirect_slashes=False,
        exception_handlers={
            RequestValidationError: _answer_body_error, HTTPException: _answer_routing_error,
            HttpError: _answer_error, VtuneError: _answer_error, Exception: _answer_error,
        },
    )  # fmt: skip

    @app.post("/v1/audio/speech", response_class=Response, responses=_speech_responses())
    async def speak(speech_request: SpeechRequest, request: Request) -> Response:
        """Speak a text."""
        return await speech.answer(speech_request, request)

    @app.get("/v1/audio/voices")
    async def voices() -> JSONResponse:
        """List the voices that the folder has now."""
        return JSONResponse(voices_body(await to_thread.run_sync(registry.voices), registry.aliases))

    @app.get("/v1/audio/models")  # where Open WebUI looks
    @app.get("/v1/models")
    async def models() -> JSONResponse:
        """List names for the field ``model``; any other name is accepted too."""
        return JSONResponse(models_body(settings.models))

    @app.get("/v1/models/{name:path}")
    async def model(name: str) -> JSONResponse:
        """Describe one model; all names mean the same model."""
        return JSONResponse(models_body([name])["data"][0])

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Say that the process answers (liveness)."""
        return {"status": "ok", "version": VTUNE_VERSION}

    @app.api_route(
        "/ready", methods=["GET", "HEAD"], responses={503: {"description": "not ready yet, or being stopped"}}
    )
    async def ready() -> JSONResponse:
        """Say whether requests are answered now, and what is missing if not (readiness)."""
        missing = ["the server is being stopped"] if lifecycle.draining else backend.missing()
        return JSONResponse(
            {"status": "not ready" if missing else "ready", "missing": missing}, 503 if missing else 200
        )

    @app.get("/metrics", response_class=PlainTextResponse)
    async def measured() -> PlainTextResponse:
        """Return counters in Prometheus's text format."""
        voices = await to_thread.run_sync(registry.voices)
        return PlainTextResponse(metrics.text(backend.load(), len(voices)), media_type="text/plain; version=0.0.4")

    for path, (package, name, kind) in PAGE.items():
        _add_file(app, path, (files(package) / name).read_bytes(), kind)
    # A character is six bytes of JSON at most, twelve beyond the first plane; the rest of a body is short.
    max_body_bytes = 12 * settings.max_characters + (16 << 10)
    public = PUBLIC_PATHS | LISTING_PATHS if settings.open_lists else PUBLIC_PATHS
    return AccessMiddleware(
        app, keys or ApiKeys(), ServerNames(host), max_body_bytes, metrics, write, public, lifecycle
    )


def _speech_responses() -> dict[int | str, dict[str, Any]]:
    sound: dict[str, Any] = {audio_format.media_type: {} for audio_format in audio_formats().values()}
    return {
        200: {
            "description": "sound, sent while it is made; or server-sent events speech.audio.delta and "
            "speech.audio.done",
            "content": {**sound, "text/event-stream": {}},
        },
        **{status: {"description": description} for status, description in ERROR_DESCRIPTIONS.items()},
    }


def _add_file(app: FastAPI, path: str, content: bytes, kind: str) -> None:
    async def file() -> Response:
        return Response(content, media_type=kind)

    app.add_api_route(path, file, include_in_schema=False)


async def _answer_error(request: Request, error: Exception) -> Response:
    http_error = http_error_of(error)
    if http_error is not error:
        log_entry_of(request.scope)["error"] = reason(error)
    return error_response(request.scope, http_error)


async def _answer_body_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return error_response(request.scope, http_error_of_body(error.errors()))


async def _answer_routing_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405 and request.method == "OPTIONS":  # no CORS: pages of other hosts stay out
        return Response(status_code=204, headers=error.headers)
    description = {404: "there is nothing under this path", 405: "this path does not take this method"}.get(
        error.status_code, error.detail
    )
    return error_response(request.scope, HttpError(error.status_code, description, headers=error.headers))
