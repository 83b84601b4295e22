"""Send bytes to a client while they are made, until the client closes the connection."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import aclosing, suppress
from typing import Any, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

T = TypeVar("T")

SSE = "text/event-stream"
"""Media type of server-sent events."""


class ClientGoneError(Exception):
    """The client has closed the connection."""


class IncompleteAudioError(Exception):
    """The sound cannot be finished; the reason is already in the log entry."""


async def unless_gone(awaitable: Awaitable[T], receive: Receive) -> T:
    """Wait for a result while the client is connected.

    :raises ClientGoneError: the client has left; the wait is cancelled.
    """
    task = asyncio.ensure_future(awaitable)
    gone = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGoneError
        return task.result()
    finally:
        for pending in (task, gone):
            pending.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class StreamedResponse(Response):
    """Sends chunks while they are made, until the client is gone or a chunk cannot be made.

    If a chunk cannot be made, the connection is closed early, which tells the client that the sound is incomplete.

    :param stalled: seconds without a read after which the client counts as gone.
    """

    def __init__(
        self, chunks: AsyncGenerator[bytes, None], media_type: str, headers: Mapping[str, str], stalled: float
    ) -> None:
        self._chunks, self._stalled = chunks, stalled
        self.status_code, self.media_type, self.background = 200, media_type, None
        self.init_headers(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        with suppress(ClientGoneError, IncompleteAudioError, TimeoutError):
            async with aclosing(self._chunks):
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                while (chunk := await unless_gone(anext(self._chunks, None), receive)) is not None:
                    async with asyncio.timeout(self._stalled):
                        await send({"type": "http.response.body", "body": chunk, "more_body": True})
                await send({"type": "http.response.body", "body": b""})


def delta(sound: bytes) -> bytes:
    """Return the server-sent event with one piece of sound."""
    return _event({"type": "speech.audio.delta", "audio": base64.b64encode(sound).decode()})


def done(characters: int, seconds: float) -> bytes:
    """Return the server-sent event that ends the sound.

    Tokens are OpenAI's rules of thumb, four characters or 48 ms each: an engine's own would mean nothing to a client.
    """
    read, spoken = -(-characters // 4), -int(-seconds // 0.048)
    usage = {"input_tokens": read, "output_tokens": spoken, "total_tokens": read + spoken}
    return _event({"type": "speech.audio.done", "usage": usage})


def failed(error: Mapping[str, Any]) -> bytes:
    """Return the server-sent event of an error that ends the sound early."""
    return _event({"type": "error", **error})


def _event(data: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()
