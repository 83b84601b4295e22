"""Check each request before a route answers it (API key, host name, body size), and log it afterwards."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vtune.errors import reason
from vtune.runtime.hostnames import ServerNames
from vtune.serve.api_keys import ApiKeys
from vtune.serve.failures import StoppingError
from vtune.serve.http_errors import HttpError, http_error_of
from vtune.serve.lifecycle import CUT_SECONDS, Lifecycle
from vtune.serve.prometheus import ServerMetrics
from vtune.serve.streaming import SSE, ClientGoneError, failed

PUBLIC_PATHS = frozenset({"/", "/page.js", "/page.css", "/base.css", "/health", "/ready"})
"""Paths that need no key, because their answers do not name any voice."""

LISTING_PATHS = frozenset({"/v1/audio/voices", "/v1/audio/models", "/v1/models"})
"""Paths that list voices and models."""

KNOWN_PATHS = PUBLIC_PATHS | LISTING_PATHS | {"/v1/audio/speech", "/metrics", "/openapi.json"}
UNLOGGED_PATHS = PUBLIC_PATHS | {"/metrics"}
"""Paths that are logged only when they fail."""

BODY_TIMEOUT_SECONDS = 30.0
"""Seconds in which the body of a request must arrive."""
MAX_DISCARDED_BYTES = 64 << 20
"""Bytes of a body that is too large which are still read, so that the client reads the error."""

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; media-src blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class AccessMiddleware:
    """Wraps an ASGI application.

    :param keys: API keys; without any, only pages and programs of this machine are served.
    :param names: host names of the server; a request under another name may come from a page that was rebound to it.
    :param max_body_bytes: bytes that the body of a request may have.
    :param write: takes one line of the log, JSON.
    :param public: paths that need no key.
    :param lifecycle: says when requests are cut because the server is being stopped.
    """

    def __init__(
        self,
        app: ASGIApp,
        keys: ApiKeys,
        names: ServerNames,
        max_body_bytes: int,
        metrics: ServerMetrics,
        write: Callable[[str], None],
        public: frozenset[str] = PUBLIC_PATHS,
        lifecycle: Lifecycle | None = None,
    ) -> None:
        self._lifecycle = lifecycle or Lifecycle()
        self._app, self._keys, self._names, self._public = app, keys, names, public
        self._max_body_bytes, self._metrics, self._write = max_body_bytes, metrics, write

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with an error; log it at the end."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        log_entry = log_entry_of(scope)
        log_entry |= {"id": secrets.token_hex(8), "client": (scope.get("client") or ("",))[0]}
        started, is_sse = time.monotonic(), False

        async def sent(message: Message) -> None:
            nonlocal is_sse
            if message["type"] == "http.response.start":
                log_entry["status"] = message["status"]
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in {**SECURITY_HEADERS, "X-Request-Id": log_entry["id"]}.items():
                    headers.setdefault(name, value)
                if self._lifecycle.draining:
                    headers["Connection"] = "close"
                is_sse = headers.get("content-type", "").startswith(SSE)
            await send(message)

        try:
            async with self._lifecycle.request():
                body = await self._check(scope, receive)
                if self._lifecycle.draining and scope["method"] == "POST":
                    raise http_error_of(StoppingError())
                # uvicorn leaves out the body of a response to HEAD.
                routed = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
                await self._app(routed, _replayed(body, receive), sent)
        except HttpError as error:
            await error_response(scope, error)(scope, receive, sent)
        except StoppingError as error:
            log_entry["error"] = reason(error)
            await _cut(scope, receive, sent, is_sse=is_sse)
        except ClientGoneError:
            log_entry["status"] = 499
        except Exception as error:  # Starlette has answered; what is left is to write it down
            log_entry |= {"error": reason(error), "trace": traceback.format_exc()}
        finally:
            log_entry["seconds"] = time.monotonic() - started
            self._log(scope, log_entry)

    async def _check(self, scope: Scope, receive: Receive) -> bytes:
        headers = Headers(scope=scope)
        if self._keys:
            holder = self._keys.holder(headers.get("authorization", ""))
            log_entry_of(scope)["key"] = holder
            if holder is None and scope["path"] not in self._public:
                message = "the API key is missing or wrong; send it as 'Authorization: Bearer KEY'"
                raise HttpError(401, message, code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"})
        elif not self._names.include(headers.get("host", "")):
            raise HttpError(403, "the Host header is not a name of this server")
        if scope["method"] != "POST":
            return b""
        # A page of another host may send anything but JSON without asking first.
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise HttpError(415, "the content type must be application/json", headers={"Connection": "close"})
        try:
            async with asyncio.timeout(BODY_TIMEOUT_SECONDS):
                return await self._body(headers, receive)
        except TimeoutError as error:
            raise HttpError(408, "the body did not arrive", headers={"Connection": "close"}) from error

    async def _body(self, headers: Headers, receive: Receive) -> bytes:
        length = headers.get("content-length", "0")
        announced = int(length) if length.isascii() and length.isdigit() and len(length) < 20 else 0
        body, seen, more = bytearray(), 0, announced <= MAX_DISCARDED_BYTES
        while more and seen <= MAX_DISCARDED_BYTES:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            seen += len(message.get("body", b""))
            if seen <= self._max_body_bytes:
                body += message.get("body", b"")
            more = message.get("more_body", False)
        if max(seen, announced) > self._max_body_bytes:
            problem = f"the body may have {self._max_body_bytes >> 10} KiB at most"
            raise HttpError(413, problem, code="too_large", headers={"Connection": "close"})
        return bytes(body)

    def _log(self, scope: Scope, log_entry: Mapping[str, Any]) -> None:
        path, status = scope["path"], log_entry.get("status", 500)
        self._metrics.requests[path if path in KNOWN_PATHS else "other", status] += 1
        if path == "/ready" or (path in UNLOGGED_PATHS and status < 400):
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"time": now, "method": scope["method"], "path": path[:200], **log_entry, "status": status}
        rounded = {name: round(value, 3) if isinstance(value, float) else value for name, value in line.items()}
        self._write(json.dumps(rounded))


def log_entry_of(scope: Scope) -> dict[str, Any]:
    """Return the entry that the log will have for a request; every step adds what it knows."""
    log_entry: dict[str, Any] = scope.setdefault("vtune", {})
    return log_entry


def error_response(scope: Scope, error: HttpError) -> JSONResponse:
    """Return the response of an error, and log its reason."""
    log_entry_of(scope)["refused"] = str(error)
    return error.response()


async def _cut(scope: Scope, receive: Receive, send: Send, *, is_sse: bool) -> None:
    """End a request that was cut: with an error if nothing was sent yet, in a stream of events with an error event."""
    log_entry, error = log_entry_of(scope), http_error_of(StoppingError())
    if "status" not in log_entry:
        await error_response(scope, error)(scope, receive, send)
        return
    log_entry["ended"] = "cut"
    if is_sse:
        with suppress(TimeoutError):
            async with asyncio.timeout(CUT_SECONDS):
                await send({"type": "http.response.body", "body": failed(error.body())})


def _replayed(body: bytes, receive: Receive) -> Receive:
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again
