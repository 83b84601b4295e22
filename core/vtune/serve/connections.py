"""Connections of a server before anything is asked on them: how many may be open, and how long each may be silent."""

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
from vtune.serve.http_errors import Refusal
from vtune.serve.settings import ServeSettings

CLOSE_SECONDS = 2
"""Seconds that connections have to close when the server ends; their requests have ended before."""
MAX_HEAD_BYTES = 32 << 10
"""Bytes of the head of a request."""
HEAD_SECONDS = 10.0
"""Seconds in which the head of a request must have arrived, however slowly its bytes come."""
LINGER_SECONDS = 1.0
"""Seconds that a client which was refused has to read why."""
RETRY_SECONDS = 5
"""Seconds after which a client that was refused may try again."""
NOTE_SECONDS = 1.0
"""Seconds between two lines of the log about connections; a flood of them must not fill the disk."""
RESERVED_FILES = 16
"""File descriptors that are kept free for voices, pipes and libraries."""


@dataclass(frozen=True, slots=True)
class Room:
    """How many connections there may be.

    :param connections: in all.
    :param per_client: from one address of another machine.
    :param burst: that are accepted before the first of them is looked at.
    """

    connections: int
    per_client: int
    burst: int


def room_for(connections: int, per_client: int) -> Room:
    """Return the room that was asked for, or what the process's limit of open files leaves of it."""
    burst = 128
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return Room(connections, per_client, burst)
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != resource.RLIM_INFINITY:
        left = limit - psutil.Process().num_fds()
        burst = max(2, min(burst, left // 16))
        # Those that are refused are open for a moment, beside the next ones that are accepted.
        connections = max(1, min(connections, left - RESERVED_FILES - 4 * burst))
    return Room(connections, max(1, min(per_client, connections // 2)), burst)


def uvicorn_config(app: ASGIApp, settings: ServeSettings, write: Callable[[str], None]) -> Config:
    """Return how uvicorn serves an application, with limits for connections.

    :param write: takes a line of the log, JSON.
    """
    room = room_for(settings.connections, settings.connections_per_client)
    return Config(
        app, http=Connections(room, settings.proxies, write).protocol,  # type: ignore[arg-type] # it is only called
        backlog=room.burst, log_config=None, access_log=False, server_header=False, lifespan="off", ws="none",
        proxy_headers=bool(settings.proxies), forwarded_allow_ips=list(settings.proxies),
        timeout_graceful_shutdown=CLOSE_SECONDS, h11_max_incomplete_event_size=MAX_HEAD_BYTES,
    )  # fmt: skip


class Connections:
    """The open connections of one server, on one event loop.

    Where there is no room, the connection that has been silent longest is closed for a new one; if requests are
    answered on all of them, the new one is refused.

    :param proxies: addresses that many clients share; these have no limit for each client.
    :param write: takes a line of the log, JSON.
    """

    def __init__(self, room: Room, proxies: Collection[str], write: Callable[[str], None]) -> None:
        self._room, self._proxies, self._write = room, proxies, write
        self._clients: Counter[str] = Counter()
        self._silent: dict[LimitedProtocol, None] = {}
        self._lingering = 0
        self._noted, self._unnoted = 0.0, 0

    def protocol(self, **given: Any) -> LimitedProtocol:
        """Return what uvicorn needs for a new connection."""
        return LimitedProtocol(self, **given)

    def enter(self, one: LimitedProtocol) -> None:
        """Let a connection in, or refuse it."""
        self._clients[one.address] += 1
        shared = one.address in self._proxies or is_loopback(one.address)
        if not shared and self._clients[one.address] > self._room.per_client:
            self._make_room(one, [other for other in self._silent if other.address == one.address])
        elif self._clients.total() > self._room.connections:
            self._make_room(one, list(self._silent))
        else:
            one.await_request()

    def leave(self, one: LimitedProtocol) -> None:
        """Forget a connection that was let in."""
        self._clients[one.address] -= 1
        self._clients += Counter()  # drops addresses without any

    def silent(self, one: LimitedProtocol, *, is_silent: bool) -> None:
        """Take note that a connection waits for a request, or has one."""
        self._silent.pop(one, None)
        if is_silent:
            self._silent[one] = None

    def linger(self, change: int) -> bool:
        """Count those that were refused and read why; return whether there is room for them."""
        self._lingering += change
        return self._lingering <= self._room.burst

    def note(self, address: str, why: str) -> None:
        """Write down that a connection was refused, once in a while with the number of others."""
        self._unnoted += 1
        if time.monotonic() - self._noted < NOTE_SECONDS:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._write(json.dumps({"time": now, "client": address, "refused": why, "connections": self._unnoted}))
        self._noted, self._unnoted = time.monotonic(), 0

    def _make_room(self, new: LimitedProtocol, silent: list[LimitedProtocol]) -> None:
        if silent:
            silent[0].refuse(503, "the connection made room for others, because nothing was asked on it")
            new.await_request()
        else:
            new.refuse(503, "too many connections are open; try again in a while")


class LimitedProtocol(H11Protocol):
    """uvicorn's own, with an end to waiting for a request.

    :param connections: of the server.
    """

    def __init__(self, connections: Connections, **given: Any) -> None:
        super().__init__(**given)
        self._connections = connections
        self._silence: asyncio.TimerHandle | None = None
        self._is_refused = self._has_left = False

    @property
    def address(self) -> str:
        """The client's; empty where there is none."""
        return self.client[0] if self.client else ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin."""
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
        """Give the client some time to ask for something."""
        if self._silence is None:
            self._connections.silent(self, is_silent=True)
            self._silence = self.loop.call_later(HEAD_SECONDS, self._expire)

    def refuse(self, status: int, why: str) -> None:
        """Tell the client that it is not served, and hang up."""
        self._end_silence()
        self._leave()
        self._is_refused = True
        self._connections.note(self.address, why)
        self.transport.write(_head(Refusal(status, why)))
        if not self._connections.linger(1) or not self.transport.can_write_eof():
            self.transport.close()
            return
        # Closed with something unread, it would be reset, and the client would never see why.
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
        self._connections.silent(self, is_silent=False)

    def _leave(self) -> None:
        if not self._has_left:
            self._has_left = True
            self._connections.leave(self)

    def _expire(self) -> None:
        self.refuse(408, f"no whole request arrived in {HEAD_SECONDS:g} s")


def _head(refusal: Refusal) -> bytes:
    """Return a whole answer, head and body."""
    body = json.dumps(refusal.body()).encode()
    phrase = {408: "Request Timeout", 503: "Service Unavailable"}[refusal.status]
    lines = (
        f"HTTP/1.1 {refusal.status} {phrase}", "Content-Type: application/json", f"Content-Length: {len(body)}",
        f"Retry-After: {RETRY_SECONDS}", "Connection: close", "", "",
    )  # fmt: skip
    return "\r\n".join(lines).encode() + body
