"""The door of a server: who may come in, how much they may bring, and what is written down of them."""

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
from vtune.runtime.hostnames import Names
from vtune.serve.api_keys import Keys
from vtune.serve.failures import StoppingError
from vtune.serve.http_errors import Refusal, refusal_of
from vtune.serve.lifecycle import CUT_SECONDS, Lifecycle
from vtune.serve.prometheus import Metrics
from vtune.serve.streaming import SSE, GoneError, failed

PUBLIC = frozenset({"/", "/page.js", "/page.css", "/base.css", "/health", "/ready"})
"""Paths that need no key: they tell nothing of the voices."""

LISTS = frozenset({"/v1/audio/voices", "/v1/audio/models", "/v1/models"})
"""Paths that tell which voices and models there are."""

ROUTES = PUBLIC | LISTS | {"/v1/audio/speech", "/metrics", "/openapi.json"}
QUIET = PUBLIC | {"/metrics"}
"""Paths that are not written down as long as all is well."""

PATIENCE = 30.0
"""Seconds for a body to arrive."""
DRAINED = 64 << 20
"""Bytes of a body too long that are still taken, so that its client reads the refusal."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; media-src blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Wraps an application.

    :param keys: who may ask; without any, only a page or program of this machine may.
    :param names: that the server is called by; any other name may be one that was rebound to it.
    :param most_bytes: of a body.
    :param write: takes a line of the log, JSON.
    :param public: paths that need no key.
    :param lifecycle: says when requests are cut because the server is being stopped.
    """

    def __init__(
        self,
        app: ASGIApp,
        keys: Keys,
        names: Names,
        most_bytes: int,
        metrics: Metrics,
        write: Callable[[str], None],
        public: frozenset[str] = PUBLIC,
        lifecycle: Lifecycle | None = None,
    ) -> None:
        self._lifecycle = lifecycle or Lifecycle()
        self._app, self._keys, self._names, self._public = app, keys, names, public
        self._most_bytes, self._metrics, self._write = most_bytes, metrics, write

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or refuse it; write it down in the end."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        told = told_of(scope)
        told |= {"id": secrets.token_hex(8), "client": (scope.get("client") or ("",))[0]}
        started, is_sse = time.monotonic(), False

        async def sent(message: Message) -> None:
            nonlocal is_sse
            if message["type"] == "http.response.start":
                told["status"] = message["status"]
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in {**HEADERS, "X-Request-Id": told["id"]}.items():
                    headers.setdefault(name, value)
                if self._lifecycle.draining:
                    headers["Connection"] = "close"
                is_sse = headers.get("content-type", "").startswith(SSE)
            await send(message)

        try:
            async with self._lifecycle.request():
                body = await self._let_in(scope, receive)
                if self._lifecycle.draining and scope["method"] == "POST":
                    raise refusal_of(StoppingError())
                # The server leaves the body of an answer to HEAD out.
                asked = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
                await self._app(asked, _replayed(body, receive), sent)
        except Refusal as refusal:
            await refused(scope, refusal)(scope, receive, sent)
        except StoppingError as error:
            told["error"] = reason(error)
            await _cut(scope, receive, sent, is_sse=is_sse)
        except GoneError:
            told["status"] = 499
        except Exception as error:  # Starlette has answered; what is left is to write it down
            told |= {"error": reason(error), "trace": traceback.format_exc()}
        finally:
            told["seconds"] = time.monotonic() - started
            self._note(scope, told)

    async def _let_in(self, scope: Scope, receive: Receive) -> bytes:
        headers = Headers(scope=scope)
        if self._keys:
            holder = self._keys.holder(headers.get("authorization", ""))
            told_of(scope)["key"] = holder
            if holder is None and scope["path"] not in self._public:
                message = "the API key is missing or wrong; send it as 'Authorization: Bearer KEY'"
                raise Refusal(401, message, code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"})
        elif not self._names.include(headers.get("host", "")):
            raise Refusal(403, "this server is not called by that name")
        if scope["method"] != "POST":
            return b""
        # A page of another host may send anything but JSON without asking first.
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Refusal(415, "only application/json is understood", headers={"Connection": "close"})
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._body(headers, receive)
        except TimeoutError as error:
            raise Refusal(408, "the body did not arrive", headers={"Connection": "close"}) from error

    async def _body(self, headers: Headers, receive: Receive) -> bytes:
        told = headers.get("content-length", "0")
        announced = int(told) if told.isascii() and told.isdigit() and len(told) < 20 else 0
        body, seen, more = bytearray(), 0, announced <= DRAINED
        while more and seen <= DRAINED:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise GoneError
            seen += len(message.get("body", b""))
            if seen <= self._most_bytes:
                body += message.get("body", b"")
            more = message.get("more_body", False)
        if max(seen, announced) > self._most_bytes:
            told = f"a body has {self._most_bytes >> 10} KiB at most"
            raise Refusal(413, told, code="too_large", headers={"Connection": "close"})
        return bytes(body)

    def _note(self, scope: Scope, told: Mapping[str, Any]) -> None:
        path, status = scope["path"], told.get("status", 500)
        self._metrics.requests[path if path in ROUTES else "other", status] += 1
        if path == "/ready" or (path in QUIET and status < 400):
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"time": now, "method": scope["method"], "path": path[:200], **told, "status": status}
        self._write(json.dumps({name: round(v, 3) if isinstance(v, float) else v for name, v in line.items()}))


def told_of(scope: Scope) -> dict[str, Any]:
    """Return what the log will say of a request; whoever learns something adds to it."""
    told: dict[str, Any] = scope.setdefault("vtune", {})
    return told


def refused(scope: Scope, refusal: Refusal) -> JSONResponse:
    """Return the answer of a refusal, whose reason goes into the log."""
    told_of(scope)["refused"] = str(refusal)
    return refusal.response()


async def _cut(scope: Scope, receive: Receive, send: Send, *, is_sse: bool) -> None:
    """End a request that was cut, as far as its format can say so; a connection that is broken off says it too."""
    told, refusal = told_of(scope), refusal_of(StoppingError())
    if "status" not in told:
        await refused(scope, refusal)(scope, receive, send)
        return
    told["ended"] = "cut"
    if is_sse:
        with suppress(TimeoutError):
            async with asyncio.timeout(CUT_SECONDS):
                await send({"type": "http.response.body", "body": failed(refusal.body())})


def _replayed(body: bytes, receive: Receive) -> Receive:
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again
