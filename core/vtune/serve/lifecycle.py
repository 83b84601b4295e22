"""Stop a server: no further request is accepted, and running responses get some seconds to finish."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from vtune.serve.failures import StoppingError

CUT_SECONDS = 2.0
"""Seconds in which a request that was cut must have sent its error."""


class Lifecycle:
    """The requests of one server, on one event loop, and the time by which they must end.

    :param drain_seconds: seconds that responses have to finish when the server is stopped.
    """

    def __init__(self, drain_seconds: float = 10.0) -> None:
        self._drain_seconds = drain_seconds
        self._requests: set[asyncio.Timeout] = set()
        self._deadline: float | None = None

    @property
    def draining(self) -> bool:
        """Whether the server is being stopped."""
        return self._deadline is not None

    @property
    def drained(self) -> bool:
        """Whether the server is being stopped and no request is left, or one is left that cannot be cut."""
        if self._deadline is None:
            return False
        return not self._requests or asyncio.get_running_loop().time() > self._deadline + CUT_SECONDS

    def drain(self, seconds: float | None = None) -> None:
        """Accept no further request, and cut the requests that have not ended after some seconds; 0 cuts them now."""
        seconds = self._drain_seconds if seconds is None else seconds
        self._deadline = asyncio.get_running_loop().time() + seconds
        for request in self._requests:
            if not request.expired():
                request.reschedule(self._deadline)

    @asynccontextmanager
    async def request(self) -> AsyncIterator[None]:
        """Hold one request, which is cancelled at the deadline. :raises StoppingError: the request was cancelled."""
        limit = asyncio.timeout_at(self._deadline)
        self._requests.add(limit)
        try:
            async with limit:
                yield
        except TimeoutError as error:
            if limit.expired():
                raise StoppingError from error
            raise
        finally:
            self._requests.discard(limit)
