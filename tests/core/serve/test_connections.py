"""Connections without a request, or with an incomplete one: they are closed, and do not keep others out."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from vtune.serve import connections
from vtune.serve.connections import RESERVED_FILES, connection_limits

HEAD_SECONDS = 0.5


@pytest.fixture
def server(start: Callable[..., Any], two_voices: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(connections, "HEAD_SECONDS", HEAD_SECONDS)
    monkeypatch.setattr(connections, "LOG_SECONDS", 0)
    made = start(two_voices, connections=8)
    made.said("anna", "hi")
    return made


@pytest.fixture
def opened(server: Any) -> Iterator[Callable[[], socket.socket]]:
    sockets: list[socket.socket] = []

    def make() -> socket.socket:
        sockets.append(socket.create_connection(("127.0.0.1", server.port), timeout=30))
        return sockets[-1]

    yield make
    for connection in sockets:
        connection.close()


def answer(one: socket.socket) -> bytes:
    """Read until the server closes the connection."""
    parts = []
    while part := one.recv(1000):
        parts.append(part)
    return b"".join(parts)


def test_who_asks_nothing_is_hung_up_on(server: Any, opened: Callable[[], socket.socket]) -> None:
    silent, started = opened(), time.monotonic()
    assert b"408 Request Timeout" in answer(silent)
    assert time.monotonic() - started > 0.8 * HEAD_SECONDS
    server.settled(lambda: server.log[-1].get("refused", "").startswith("no whole request arrived"))
    assert server.log[-1]["client"] == "127.0.0.1"


def test_who_asks_a_byte_at_a_time_has_no_more_time(server: Any, opened: Callable[[], socket.socket]) -> None:
    slow, started = opened(), time.monotonic()
    slow.settimeout(HEAD_SECONDS / 10)
    request, got = iter(b"GET /health HTTP/1.1\r\nX: " + b"x" * 1000), b""
    while not got:
        assert time.monotonic() - started < 20 * HEAD_SECONDS, "may go on for ever"
        slow.send(bytes([next(request)]))
        try:
            got = slow.recv(1000)
        except TimeoutError:
            continue
    assert b"408 Request Timeout" in got
    assert json.loads(got.partition(b"\r\n\r\n")[2])["error"]["message"].startswith("no whole request arrived")


def test_a_second_request_has_as_little_time(server: Any, opened: Callable[[], socket.socket]) -> None:
    client = opened()
    client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /he")
    got = answer(client)
    assert got.startswith(b"HTTP/1.1 200")
    assert b"408 Request Timeout" in got


def test_silent_connections_make_room_for_whoever_asks(server: Any, opened: Callable[[], socket.socket]) -> None:
    for _ in range(40):
        opened()
    assert server.get("/health")[0] == 200
    assert len(server.said("ben", "hi")) > 0


def test_no_room_is_made_by_those_who_are_answered(server: Any, opened: Callable[[], socket.socket]) -> None:
    long = {"input": "hello there " * 300, "voice": "anna", "response_format": "pcm"}
    held = [server.open("POST", "/v1/audio/speech", long) for _ in range(8)]
    assert all(given.status == 200 for _, given in held)
    refused = opened()
    got = answer(refused)
    assert got.startswith(b"HTTP/1.1 503")
    assert b"Retry-After: " in got
    assert json.loads(got.partition(b"\r\n\r\n")[2])["error"]["type"] == "server_error"
    with pytest.raises(AssertionError, match="503"):  # a whole client reads it too
        assert server.get("/health")[0] == 200
    for connection, given in held:
        assert len(given.read(200)) == 200
        given.close()
        connection.close()
    server.settled(lambda: server.backend.load().speaking == 0)
    assert server.get("/health")[0] == 200


class Somewhere:
    """A connection from another machine."""

    def __init__(self, address: str) -> None:
        self.address, self.refused = address, 0

    def refuse(self, status: int, why: str) -> None:
        self.refused = status
        self.all.set_idle(self, is_idle=False)
        self.all.leave(self)

    def await_request(self) -> None:
        self.all.set_idle(self, is_idle=True)

    def enter(self, all_of_them: Any) -> Any:
        self.all = all_of_them
        all_of_them.enter(self)
        return self


def test_one_machine_does_not_take_all_connections() -> None:
    room = connections.ConnectionLimits(connections=8, per_client=2, burst=2)
    made = connections.Connections(room, {"10.0.0.9"}, print)
    first, second, third = (Somewhere("10.0.0.1").enter(made) for _ in range(3))
    assert (first.refused, second.refused, third.refused) == (503, 0, 0)  # which was silent longest
    for idle in (second, third):
        made.set_idle(idle, is_idle=False)  # asks for something
    assert Somewhere("10.0.0.1").enter(made).refused == 503
    assert Somewhere("10.0.0.2").enter(made).refused == 0
    assert [Somewhere("10.0.0.9").enter(made).refused for _ in range(4)] == [0] * 4  # a proxy, for many clients
    assert [Somewhere("127.0.0.1").enter(made).refused for _ in range(1)] == [0]


def test_a_flood_is_one_line_of_the_log_a_second() -> None:
    lines: list[str] = []
    made = connections.Connections(connections.ConnectionLimits(8, 2, 2), (), lines.append)
    for _ in range(1000):
        made.log_refusal("10.0.0.1", "too many")
    assert len(lines) <= 2


def test_the_limit_of_open_files_is_a_limit_of_connections() -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert connection_limits(10, 64).connections == 10
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (128, before[1]))
        room = connection_limits(512, 64)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert 1 <= room.connections <= 128 - RESERVED_FILES
    assert room.per_client <= room.connections
    assert room.connections + 4 * room.burst + RESERVED_FILES <= 128


SERVE = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
from vtune.serve import serve
serve(Path(sys.argv[1]), started=lambda url: print(url, flush=True), device="cpu")
"""


def test_a_hundred_silent_sockets_shut_nobody_out_at_64_open_files(two_voices: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(two_voices)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    sockets = []
    try:
        port = int(process.stdout.readline().rpartition(":")[2])
        for _ in range(100):
            sockets.append(socket.create_connection(("127.0.0.1", port), timeout=30))
        for voice in ("anna", "ben", "0.5*anna+0.5*ben"):
            connection = HTTPConnection("127.0.0.1", port, timeout=60)
            body = json.dumps({"input": "hello there", "voice": voice, "response_format": "pcm"})
            connection.request("POST", "/v1/audio/speech", body, {"Content-Type": "application/json"})
            given = connection.getresponse()
            assert (given.status, len(given.read()) > 1000) == (200, True)
            connection.close()
    finally:
        for opened_socket in sockets:
            opened_socket.close()
        process.terminate()
        _, log = process.communicate(timeout=60)
    assert '"refused"' in log
    assert "Traceback" not in log
