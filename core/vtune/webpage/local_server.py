"""Serve a page of vtune with the standard library's web server, by default only on this machine, behind a token.

A server names the files of its page; its handler answers everything else in ``get`` and ``post``. Both are written for
one user: the person who sees the terminal, where the address with the token is printed.
"""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import socketserver
import sys
import threading
import webbrowser
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from pydantic import ValidationError

from vtune.errors import VtuneError, first_problem
from vtune.runtime.hostnames import server_url
from vtune.webpage.access_guard import AccessGuard

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 << 10
"""Largest number of bytes in the JSON of a request."""

RESPONSE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; media-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_RANGE_PATTERN = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class Refusal(Exception):
    """An answer with an error status and one sentence for the page."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers


class LocalServer(ThreadingHTTPServer):
    """Serves one page to a browser.

    :param page: the files of the page: path to content and type.
    :param name: what the page is, for the name of its cookie.
    :param address: host and port; port 0 takes a free port.
    :raises OSError: the port is in use, or the host is not an address of this machine.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(
        self,
        name: str,
        page: Mapping[str, tuple[bytes, str]],
        handler: type[LocalHandler],
        address: tuple[str, int],
    ) -> None:
        self.name, self.page = name, page
        self.guard = AccessGuard(address[0])
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Bind the socket; unlike the standard library, do not ask the network for this machine's name."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    @property
    def cookie(self) -> str:
        """Name of the cookie with the token; each server of this machine has its own name."""
        return f"vtune-{self.name}-{self.server_port}"

    @property
    def url(self) -> str:
        """The URL to open, with the token."""
        return f"{server_url(self.server_name, self.server_port)}/?token={self.guard.token}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log a failed request, unless the browser closed the connection."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            logger.exception("a request failed")


def serve_until_interrupted(
    make: Callable[[], LocalServer], address: tuple[str, int], *, browser: bool, started: Callable[[str], None]
) -> None:
    """Serve until Ctrl-C.

    :param make: returns the server.
    :param address: host and port as the user gave them, for the error.
    :param browser: open a browser if this machine has a screen.
    :param started: called with the URL, which contains the token.
    :raises VtuneError: the port is not available.
    """
    host, port = address
    try:
        server = make()
    except (OSError, OverflowError) as error:
        where = f"{host} port {port}" if port else host
        reason = getattr(error, "strerror", None) or str(error)
        hint = "; leave out --port to take a free port" if port else ""
        raise VtuneError(f"cannot serve at {where}: {reason}{hint}") from error
    with server:
        if not server.guard.names.local:
            logger.warning(
                "warning: other machines can reach %s; everybody who knows the address can listen and edit, "
                "and the connection is not encrypted", host,
            )  # fmt: skip
        started(server.url)
        if browser and _has_screen():
            threading.Thread(target=webbrowser.open, args=(server.url,), daemon=True).start()
        with suppress(KeyboardInterrupt):
            server.serve_forever(poll_interval=0.2)


def _has_screen() -> bool:
    # Without a screen, webbrowser would open a text browser in the terminal.
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


class LocalHandler(BaseHTTPRequestHandler):
    """Answers the requests of one page; a subclass says what its paths mean."""

    server: Any  # a LocalServer, or the subclass of it that belongs to this handler
    post_paths: frozenset[str] = frozenset()
    statuses: ClassVar[Mapping[type[Exception], int]] = {}
    """Statuses of errors that are no mistake of a request, by the class of the error."""
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "vtune", ""
    timeout = 30

    def get(self, path: str, query: Mapping[str, list[str]]) -> None:
        """Answer a GET request that is not for a file of the page. :raises Refusal: there is nothing at this path."""
        raise Refusal(404, "this path does not exist")

    def post(self, path: str, query: Mapping[str, list[str]]) -> None:
        """Answer a POST request to one of ``post_paths``."""
        raise Refusal(404, "this path does not exist")

    def do_GET(self) -> None:
        """Answer a GET request."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """Answer a POST request."""
        self._answer(self._post)

    def _answer(self, handle: Callable[[str, Mapping[str, list[str]]], None]) -> None:
        try:
            path, query = self._address()
            self._check(query)
            handle(path, query)
        except Refusal as refusal:
            self.refuse(refusal.status, str(refusal), refusal.headers)
        except ValidationError as error:
            self.refuse(400, first_problem(error))
        except VtuneError as error:
            self.refuse(
                next((code for kind, code in self.statuses.items() if isinstance(error, kind)), 422), str(error)
            )
        except (ConnectionError, TimeoutError):
            raise
        except OSError as error:
            self.refuse(500, f"{error.filename or 'the disk'}: {error.strerror}")
        except Exception:
            logger.exception("%s failed", self.path[:80])
            self.refuse(500, "this is an error in vtune; the terminal shows the details")

    def _address(self) -> tuple[str, dict[str, list[str]]]:
        try:
            address = urlsplit(self.path)
            return address.path, parse_qs(address.query, max_num_fields=8)
        except ValueError as error:
            raise Refusal(400, str(error)) from error

    def _check(self, query: Mapping[str, list[str]]) -> None:
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or not self.server.guard.names.include(hosts[0]):
            raise Refusal(403, "this server does not have that host name")
        token = query.get("token", [""])[0]
        if not self.server.guard.is_known(self.headers, token, self.server.cookie):
            raise Refusal(403, "the token is missing or wrong; open the address that the terminal shows")

    def _get(self, path: str, query: Mapping[str, list[str]]) -> None:
        if path in self.server.page:
            cookie = f"{self.server.cookie}={self.server.guard.token}; Path=/; HttpOnly; SameSite=Strict"
            body, kind = self.server.page[path]
            self.send_bytes(200, body, f"{kind}; charset=utf-8", {"Set-Cookie": cookie})
        elif path in self.post_paths:
            raise Refusal(405, "this path needs a POST request", Allow="POST")
        else:
            self.get(path, query)

    def _post(self, path: str, query: Mapping[str, list[str]]) -> None:
        if not self.server.guard.is_own(self.headers):
            raise Refusal(403, "only the server's own page may change data")
        if path not in self.post_paths:
            raise Refusal(404, "this path does not exist")
        self.post(path, query)

    def json_body(self) -> bytes:
        """Return the body of a request in JSON. :raises Refusal: it is something else, or too large."""
        if self.headers.get_content_type() != "application/json":
            raise Refusal(415, "the content type must be application/json")
        length = self.body_length(MAX_BODY_BYTES)
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionAbortedError
        self._body_was_read = True
        return body

    def body_length(self, most: int) -> int:
        """Return the length of the body in bytes. :raises Refusal: it is not known, or above ``most``."""
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"\d{1,18}", length):
            raise Refusal(411, "the request has no valid Content-Length")
        if int(length) > most:
            raise Refusal(413, f"the request is larger than {most >> 10} KiB")
        return int(length)

    def body_was_read(self) -> None:
        """Note that a subclass has read the body, so that the connection can be used again."""
        self._body_was_read = True

    def send_sound(self, sound: bytes, kind: str = "audio/wav") -> None:
        """Send a sound file, or the range of bytes of it that the browser asks for."""
        headers = {"Accept-Ranges": "bytes"}
        match = _RANGE_PATTERN.fullmatch(self.headers.get("Range", "").replace(" ", ""))
        if not match or match[0] == "bytes=-" or "If-Range" in self.headers:
            self.send_bytes(200, sound, kind, headers)
            return
        first, last = match.groups()
        start = int(first) if first else max(0, len(sound) - int(last))
        end = min(int(last), len(sound) - 1) if first and last else len(sound) - 1
        if start >= len(sound) or start > end:
            raise Refusal(
                416, "the recording does not have this range of bytes", **{"Content-Range": f"bytes */{len(sound)}"}
            )
        headers["Content-Range"] = f"bytes {start}-{end}/{len(sound)}"
        self.send_bytes(206, sound[start : end + 1], kind, headers)

    def send_data(self, status: int, data: Any, headers: Mapping[str, str] | None = None) -> None:
        """Send plain data as JSON."""
        self.send_bytes(status, json.dumps(data).encode(), "application/json", headers or {})

    def refuse(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        """Send an error: ``{"error": message}``."""
        if self.command != "GET" and not getattr(self, "_body_was_read", False):
            self.close_connection = True  # otherwise the rest of the body would be read as the next request
        self.send_data(status, {"error": message}, headers)

    def send_bytes(self, status: int, body: bytes, kind: str, headers: Mapping[str, str]) -> None:
        """Send a body with the headers that every answer has; ``headers`` may replace them."""
        self._body_was_read = False
        self.send_response(status)
        ends = {"Connection": "close"} if self.close_connection else {}
        sent = {"Content-Type": kind, "Content-Length": str(len(body)), **RESPONSE_HEADERS, **headers, **ends}
        for name, value in sent.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer in JSON if the standard library refuses a request (a malformed request, another method)."""
        status = 405 if code == 501 else code
        self.close_connection = True
        self.command = getattr(self, "command", None) or "GET"
        self.send_data(
            status, {"error": message or HTTPStatus(status).phrase}, {"Allow": "GET, POST"} if status == 405 else {}
        )

    def log_message(self, format: str, *args: Any) -> None:
        """Log a request in detail only."""
        logger.debug(format, *args)
