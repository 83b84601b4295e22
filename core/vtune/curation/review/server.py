"""Serve the review page with the standard library's web server, by default only on this machine."""

from __future__ import annotations

import json
import logging
import re
import socket
import socketserver
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydantic import ValidationError

from vtune.curation.review.access_guard import ReviewGuard
from vtune.curation.review.api import REVIEW_ACTIONS, review_data, run_action
from vtune.curation.review.browser_audio import BrowserAudio
from vtune.curation.review.review import Review
from vtune.dataset.editing.edit import StaleError
from vtune.errors import DataError, VtuneError, first_problem
from vtune.runtime.hostnames import server_url

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 << 10
"""Largest number of bytes in the body of a request."""

PAGE_FILES = {
    "/": ("page.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}
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


class ReviewServer(ThreadingHTTPServer):
    """Serves one review to a browser.

    :param port: port of the server; 0 takes a free port.
    :raises OSError: the port is in use, or the host is not an address of this machine.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, review: Review, host: str = "127.0.0.1", port: int = 0, *, flagged: bool = False) -> None:
        self.review, self.flagged = review, flagged
        self.guard, self.sounds = ReviewGuard(host), BrowserAudio()
        self.page = {
            path: (files("vtune.curation.review") / "page" / name).read_bytes()
            for path, (name, _) in PAGE_FILES.items()
        }
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        """Bind the socket; unlike the standard library, do not ask the network for this machine's name."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    @property
    def cookie(self) -> str:
        """Name of the cookie with the token; each server of this machine has its own name."""
        return f"vtune-review-{self.server_port}"

    @property
    def url(self) -> str:
        """The URL to open, with the token."""
        return f"{server_url(self.server_name, self.server_port)}/?token={self.guard.token}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log a failed request, unless the browser closed the connection."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            logger.exception("a request failed")


class _Refusal(Exception):  # becomes an answer, not an error
    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers


class _Handler(BaseHTTPRequestHandler):
    server: ReviewServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "vtune", ""
    timeout = 30

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def _answer(self, handle: Any) -> None:
        try:
            path, query = self._address()
            self._check(query)
            handle(path)
        except _Refusal as refusal:
            self._refuse(refusal.status, str(refusal), refusal.headers)
        except ValidationError as error:
            self._refuse(400, first_problem(error))
        except StaleError as error:
            self._refuse(409, str(error))
        except VtuneError as error:
            self._refuse(422, str(error))
        except (ConnectionError, TimeoutError):
            raise
        except OSError as error:
            self._refuse(500, f"{error.filename or 'the disk'}: {error.strerror}")
        except Exception:
            logger.exception("%s failed", self.path[:80])
            self._refuse(500, "this is an error in vtune; the terminal shows the details")

    def _address(self) -> tuple[str, dict[str, list[str]]]:
        try:
            address = urlsplit(self.path)
            return address.path, parse_qs(address.query, max_num_fields=8)
        except ValueError as error:
            raise _Refusal(400, str(error)) from error

    def _check(self, query: dict[str, list[str]]) -> None:
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or not self.server.guard.names.include(hosts[0]):
            raise _Refusal(403, "this server does not have that host name")
        token = query.get("token", [""])[0]
        if not self.server.guard.is_known(self.headers, token, self.server.cookie):
            raise _Refusal(403, "the token is missing or wrong; open the address that the terminal shows")

    def _get(self, path: str) -> None:
        if path in PAGE_FILES:
            cookie = f"{self.server.cookie}={self.server.guard.token}; Path=/; HttpOnly; SameSite=Strict"
            self._send(200, self.server.page[path], PAGE_FILES[path][1] + "; charset=utf-8", {"Set-Cookie": cookie})
        elif path == "/api/clips":
            self._send_json(200, review_data(self.server.review, flagged=self.server.flagged))
        elif match := re.fullmatch(r"/(audio|api/peaks|api/spectrogram)/(\d{1,9})", path):
            recording = self._recording(int(match[2]))
            if match[1] == "audio":
                self._send_audio(self.server.sounds.wav(recording))
            elif match[1] == "api/peaks":
                self._send_json(200, self.server.sounds.peaks(recording))
            else:
                self._send_json(200, self.server.sounds.spectrogram(recording))
        elif path.removeprefix("/api/") in REVIEW_ACTIONS:
            raise _Refusal(405, "this path needs a POST request", Allow="POST")
        else:
            raise _Refusal(404, "this path does not exist")

    def _post(self, path: str) -> None:
        if not self.server.guard.is_own(self.headers):
            raise _Refusal(403, "only the review's own page may change data")
        action = path.removeprefix("/api/")
        if not path.startswith("/api/") or action not in REVIEW_ACTIONS:
            raise _Refusal(404, "this path does not exist")
        if self.headers.get_content_type() != "application/json":
            raise _Refusal(415, "the content type must be application/json")
        self._send_json(200, run_action(self.server.review, action, self._body()))

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"\d{1,18}", length):
            raise _Refusal(411, "the request has no valid Content-Length")
        if int(length) > MAX_BODY_BYTES:
            raise _Refusal(413, f"the request is larger than {MAX_BODY_BYTES >> 10} KiB")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise ConnectionAbortedError
        self._read = True
        return body

    def _recording(self, number: int) -> str:
        try:
            clip = self.server.review.clip(number)
        except DataError as error:
            raise _Refusal(404, str(error)) from error
        if not clip.there:
            raise _Refusal(404, f"this clip has no sound: {clip.problem}")
        return clip.audio

    def _send_audio(self, wav: bytes) -> None:
        headers = {"Accept-Ranges": "bytes"}
        match = _RANGE_PATTERN.fullmatch(self.headers.get("Range", "").replace(" ", ""))
        if not match or match[0] == "bytes=-" or "If-Range" in self.headers:
            self._send(200, wav, "audio/wav", headers)
            return
        first, last = match.groups()
        start = int(first) if first else max(0, len(wav) - int(last))
        end = min(int(last), len(wav) - 1) if first and last else len(wav) - 1
        if start >= len(wav) or start > end:
            raise _Refusal(
                416, "the recording does not have this range of bytes", **{"Content-Range": f"bytes */{len(wav)}"}
            )
        headers["Content-Range"] = f"bytes {start}-{end}/{len(wav)}"
        self._send(206, wav[start : end + 1], "audio/wav", headers)

    def _send_json(self, status: int, data: Any, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(data).encode(), "application/json", headers or {})

    def _refuse(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        if self.command != "GET" and not getattr(self, "_read", False):
            self.close_connection = True  # otherwise the rest of the body would be read as the next request
        self._send_json(status, {"error": message}, headers)

    def _send(self, status: int, body: bytes, kind: str, headers: dict[str, str]) -> None:
        self._read = False
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
        self._send_json(
            status, {"error": message or HTTPStatus(status).phrase}, {"Allow": "GET, POST"} if status == 405 else {}
        )

    def log_message(self, format: str, *args: Any) -> None:
        logger.debug(format, *args)
