"""Limit connections before a request arrives on them: how many may be open, and how long each may be idle."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psutil
from starlette.types import ASGIApp
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol

from vtune.runtime.hostnames import is_loopback
from vtune.serve.http_errors import HttpError
from vtune.serve.settings import ServeSettings

CLOSE_SECONDS = 2
"""Seconds that connections have to close when the server ends; their requests have ended before."""
MAX_HEAD_BYTES = 32 << 10
"""Bytes that the head of a request may have."""
HEAD_SECONDS = 10.0
"""Seconds in which the head of a request must have arrived, however slowly its bytes come."""
LINGER_SECONDS = 1.0
"""Seconds that a client which was refused has to read why."""
RETRY_SECONDS = 5
"""Seconds after which a client that was refused may try again."""
LOG_SECONDS = 1.0
"""Seconds between two lines of the log about connections; a flood of them must not fill the disk."""
RESERVED_FILES = 16
"""File descriptors that are kept free for voices, pipes and libraries."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections may be open.

    :param connections: in all.
    :param per_client: from one address of another machine.
    :param burst: connections that the kernel accepts before the server looks at the first of them.
    """

    connections: int
    per_client: int
    burst: int


def connection_limits(connections: int, per_client: int) -> ConnectionLimits:
    """Return the limits of the settings, lowered to what the process's limit of open files allows."""
    burst = 128
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return ConnectionLimits(connections, per_client, burst)
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != resource.RLIM_INFINITY:
        left = limit - psutil.Process().num_fds()
        burst = max(2, min(burst, left // 16))
        # Refused connections stay open for a moment, beside the next ones that are accepted.
        connections = max(1, min(connections, left - RESERVED_FILES - 4 * burst))
    return ConnectionLimits(connections, max(1, min(per_client, connections // 2)), burst)


def uvicorn_config(app: ASGIApp, settings: ServeSettings, write: Callable[[str], None]) -> Config:
    """Return uvicorn's configuration for an application, with limits for connections.

    :param write: takes one line of the log, JSON.
    """
    room = connection_limits(settings.connections, settings.connections_per_client)
    return Config(
        app, http=Connections(room, settings.proxies, write).protocol,  # type: ignore[arg-type] # it is only called
        backlog=room.burst, log_config=None, access_log=False, server_header=False, lifespan="off", ws="none",
        proxy_headers=bool(settings.proxies), forwarded_allow_ips=list(settings.proxies),
        timeout_graceful_shutdown=CLOSE_SECONDS, h11_max_incomplete_event_size=MAX_HEAD_BYTES,
    )  # fmt: skip


class Connections:
    """The open connections of one server, on one event loop.

    At the limit, the connection that has been idle longest is closed for a new connection; if no connection is idle,
    the new connection is refused.

    :param proxies: addresses that many clients share; these have no limit for each client.
    :param write: takes a line of the log, JSON.
    """

    def __init__(self, limits: ConnectionLimits, proxies: Collection[str], write: Callable[[str], None]) -> None:
        self._limits, self._proxies, self._write = limits, proxies, write
        self._clients: Counter[str] = Counter()
        self._idle: dict[LimitedProtocol, None] = {}
        self._lingering = 0
        self._logged_at, self._unlogged = 0.0, 0

    def protocol(self, **given: Any) -> LimitedProtocol:
        """Return uvicorn's protocol for a new connection."""
        return LimitedProtocol(self, **given)

    def enter(self, connection: LimitedProtocol) -> None:
        """Let a connection in, or refuse it."""
        self._clients[connection.address] += 1
        shared = connection.address in self._proxies or is_loopback(connection.address)
        if not shared and self._clients[connection.address] > self._limits.per_client:
            self._make_room(connection, [idle for idle in self._idle if idle.address == connection.address])
        elif self._clients.total() > self._limits.connections:
            self._make_room(connection, list(self._idle))
        else:
            connection.await_request()

    def leave(self, connection: LimitedProtocol) -> None:
        """Forget a connection that was let in."""
        self._clients[connection.address] -= 1
        self._clients += Counter()  # drops addresses without any

    def set_idle(self, connection: LimitedProtocol, *, is_idle: bool) -> None:
        """Record whether a connection waits for a request."""
        self._idle.pop(connection, None)
        if is_idle:
            self._idle[connection] = None

    def linger(self, change: int) -> bool:
        """Count the refused connections that are still open; return whether another connection may stay open."""
        self._lingering += change
        return self._lingering <= self._limits.burst

    def log_refusal(self, address: str, reason: str) -> None:
        """Log that a connection was refused; at most once a second, with the number of refused connections."""
        self._unlogged += 1
        if time.monotonic() - self._logged_at < LOG_SECONDS:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._write(json.dumps({"time": now, "client": address, "refused": reason, "connections": self._unlogged}))
        self._logged_at, self._unlogged = time.monotonic(), 0

    def _make_room(self, new: LimitedProtocol, idle: list[LimitedProtocol]) -> None:
        if idle:
            idle[0].refuse(503, "this connection was idle and was closed for another one")
            new.await_request()
        else:
            new.refuse(503, "too many connections are open; try again in a while")


class LimitedProtocol(H11Protocol):
    """uvicorn's protocol, which does not wait for a request forever.

    :param connections: of the server.
    """

    def __init__(self, connections: Connections, **given: Any) -> None:
        super().__init__(**given)
        self._connections = connections
        self._silence: asyncio.TimerHandle | None = None
        self._is_refused = self._has_left = False

    @property
    def address(self) -> str:
        """The client's address; empty if the client has none."""
        return self.client[0] if self.client else ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Register the connection, or refuse it."""
        super().connection_made(transport)
        self._connections.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._end_silence()
        self._leave()
        if self._is_refused:
            self._connections.linger(-1)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; what comes slowly does not begin a new time to wait."""
        if not self._is_refused:
            super().data_received(data)
            self._listen()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._listen()

    def await_request(self) -> None:
        """Give the client some seconds to send a request."""
        if self._silence is None:
            self._connections.set_idle(self, is_idle=True)
            self._silence = self.loop.call_later(HEAD_SECONDS, self._expire)

    def refuse(self, status: int, message: str) -> None:
        """Send the client an error, and close the connection."""
        self._end_silence()
        self._leave()
        self._is_refused = True
        self._connections.log_refusal(self.address, message)
        self.transport.write(_response_bytes(HttpError(status, message)))
        if not self._connections.linger(1) or not self.transport.can_write_eof():
            self.transport.close()
            return
        # With unread bytes, closing would reset the connection, and the client would never see the error.
        self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    def _listen(self) -> None:
        if self.transport.is_closing() or (self.cycle is not None and not self.cycle.response_complete):
            self._end_silence()
        else:
            self.await_request()

    def _end_silence(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None
        self._connections.set_idle(self, is_idle=False)

    def _leave(self) -> None:
        if not self._has_left:
            self._has_left = True
            self._connections.leave(self)

    def _expire(self) -> None:
        self.refuse(408, f"no whole request arrived in {HEAD_SECONDS:g} s")


def _response_bytes(error: HttpError) -> bytes:
    """Return a whole response, head and body."""
    body = json.dumps(error.body()).encode()
    phrase = {408: "Request Timeout", 503: "Service Unavailable"}[error.status]
    lines = (
        f"HTTP/1.1 {error.status} {phrase}", "Content-Type: application/json", f"Content-Length: {len(body)}",
        f"Retry-After: {RETRY_SECONDS}", "Connection: close", "", "",
    )  # fmt: skip
    return "\r\n".join(lines).encode() + body
