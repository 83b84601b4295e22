"""Send requests to a vLLM server: list its models, load adapters, sample tokens."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from vtune.errors import VtuneError, in_a_line, reason, shown
from vtune.serve.failures import UpstreamAwayError, UpstreamError, VoiceBrokenError
from vtune.types import SamplingRequest

BAD_ANSWER_MESSAGE = "the server behind this one answers in a way that vtune does not understand; the log says more"
KEY_REFUSED_MESSAGE = "the server behind this one refuses vtune's key; the log says more"

MAX_ANSWER_BYTES = 16 << 20
MAX_LINE_BYTES = 1 << 20
HEALTH_TIMEOUT_SECONDS = 5.0
"""Seconds in which a server must answer a request for its health."""
MAX_RETRY_SECONDS = 600


class VllmRefusalError(VtuneError):
    """The server understands a request and refuses it; ``status`` is HTTP's, the message is the server's own."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"vLLM answers {status}: {message}")
        self.status = status


def failure_of(status: int, content: bytes, retry_after: str | None = None) -> VtuneError:
    """Return the error that an answer other than 200 means; docs/how-to/serve.md has the table.

    :param content: body of the answer: JSON if vLLM answers, often HTML if a proxy answers.
    :param retry_after: value of the header ``Retry-After``; None without this header.
    """
    client_message, seconds = _error_message(content), _seconds(retry_after)
    message = f"vLLM answers {status}: {client_message or in_a_line(content[:200].decode(errors='replace'))}"
    match status:
        case 401 | 403:
            return UpstreamError(message, 502, KEY_REFUSED_MESSAGE)
        case 429:
            client_message = f"too many requests wait at the server behind this one; try again in {seconds} s"
            return UpstreamError(message, 503, client_message, seconds)
        case 400 | 404 | 409 | 413 | 422 | 500 if client_message is not None:
            return VllmRefusalError(status, client_message)
        case _ if status >= 500:
            return UpstreamAwayError(message, seconds)
    return UpstreamError(message, 502, BAD_ANSWER_MESSAGE)


def upstream_error_of(error: VllmRefusalError) -> UpstreamError:
    """Return the error that a client reads when vLLM refuses its request; the message is vtune's, not vLLM's."""
    message, client_message = str(error), "the server behind this one refuses this request; the log says why"
    if error.status >= 500 or error.status == 404:
        return UpstreamAwayError(message)
    if re.search(r"context length|model length|max_model_len|too (long|many tokens)", message, re.IGNORECASE):
        client_message = "input: the text is too long for the server behind this one; send less text at once"
    elif name := re.search(r"\b(temperature|top_p|repetition_penalty|seed)\b", message):
        client_message = f"{name[1]}: the server behind this one does not accept this value"
    return UpstreamError(message, 400, client_message)


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model that the server lists; an adapter has a ``parent``. ``root`` is the folder or Hub id that was loaded."""

    id: str
    root: str
    parent: str | None


class VllmClient:
    """Sends requests to one server, each on its own connection.

    :param url: base address of the server, such as ``http://127.0.0.1:8000``.
    :param key: API key of the server; empty for a server without a key.
    :param patience: seconds without an answer after which the server counts as gone.
    :raises VtuneError: the URL is not an HTTP address.
    """

    def __init__(self, url: str, key: str = "", patience: float = 120.0) -> None:
        parts = urlsplit(url)
        try:
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if parts.scheme not in ("http", "https") or not host:
            raise VtuneError(
                f"{shown(url)} is not the address of a vLLM server; an address looks like http://127.0.0.1:8000"
            )
        self.url = url
        self._host, self._port, self._kind = host, port, HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._path = parts.path.rstrip("/").removesuffix("/v1")
        self._key, self._patience = key, patience

    def is_healthy(self) -> bool:
        """Return whether the server answers soon."""
        try:
            self._ask("GET", "/health", patience=min(HEALTH_TIMEOUT_SECONDS, self._patience))
        except VtuneError:
            return False
        return True

    def models(self) -> list[ServedModel]:
        """Return the models that the server lists."""
        try:
            entries = json.loads(self._ask("GET", "/v1/models"))["data"]
            return [
                ServedModel(entry["id"], entry.get("root") or entry["id"], entry.get("parent")) for entry in entries
            ]
        except VllmRefusalError as error:
            raise upstream_error_of(error) from error
        except (ValueError, KeyError, TypeError) as error:
            message = f"{self.url} does not list models as vLLM does: {reason(error)}"
            raise UpstreamError(message, 502, BAD_ANSWER_MESSAGE) from error

    def load(self, name: str, path: str) -> None:
        """Load an adapter under a name. :raises VllmRefusalError: the server refuses it."""
        self._ask("POST", "/v1/load_lora_adapter", {"lora_name": name, "lora_path": path})

    def unload(self, name: str) -> None:
        """Remove an adapter from the server. :raises VllmRefusalError: the server does not have it."""
        self._ask("POST", "/v1/unload_lora_adapter", {"lora_name": name})

    def draw(self, model: str, request: SamplingRequest) -> TokenStream:
        """Open a stream of sampled tokens; the request is sent when the stream is read.

        :raises UpstreamAwayError: the server does not answer.
        """
        return TokenStream(self._connected(), f"{self._path}/v1/completions", self._headers(), _body(model, request))

    def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, patience: float | None = None
    ) -> bytes:
        connection = self._connected(patience)
        try:
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, self._path + path, data, self._headers())
            answer = connection.getresponse()
            content = answer.read(MAX_ANSWER_BYTES)
        except (OSError, HTTPException) as error:
            raise UpstreamAwayError(f"vLLM at {self.url} does not answer: {reason(error)}") from error
        finally:
            connection.close()
        if answer.status != 200:
            raise failure_of(answer.status, content, answer.getheader("Retry-After"))
        return content

    def _connected(self, patience: float | None = None) -> HTTPConnection:
        connection = self._kind(self._host, self._port, timeout=patience or self._patience)
        try:
            connection.connect()
        except OSError as error:
            raise UpstreamAwayError(f"vLLM at {self.url} does not answer: {reason(error)}") from error
        return connection

    def _headers(self) -> dict[str, str]:
        key = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        return {"Content-Type": "application/json", **key}


class TokenStream:
    """Streams sampled token ids; ``break_off`` may be called from another thread, all other methods from one thread."""

    def __init__(self, connection: HTTPConnection, path: str, headers: Mapping[str, str], body: bytes) -> None:
        self._connection, self._socket = connection, connection.sock
        self._path, self._headers, self._body = path, headers, body

    def ids(self) -> Iterator[list[int]]:
        """Send the request, and yield chunks of token ids as they arrive.

        :raises VllmRefusalError: the server refuses the request, or ends the stream with an error.
        :raises UpstreamError: the server is gone, or its answer is not vLLM's.
        """
        try:
            self._connection.request("POST", self._path, self._body, dict(self._headers))
            answer = self._connection.getresponse()
            if answer.status != 200:
                raise failure_of(answer.status, answer.read(MAX_ANSWER_BYTES), answer.getheader("Retry-After"))
            yield from _events(answer)
        except (OSError, HTTPException) as error:
            raise UpstreamAwayError(f"vLLM has gone away: {reason(error)}") from error

    def break_off(self) -> None:
        """Stop waiting for tokens; closing the connection also ends the sampling on the server."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection; the server stops sampling."""
        self._connection.close()


def _body(model: str, request: SamplingRequest) -> bytes:
    # A server takes missing values from the checkpoint's generation_config.json.
    body: dict[str, Any] = {
        "model": model,
        "prompt": list(request.prompt),
        "max_tokens": request.max_tokens,
        "seed": request.seed,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": -1,
        "min_p": 0.0,
        "repetition_penalty": request.repetition_penalty,
        "stop_token_ids": list(request.stop),
        "ignore_eos": True,
        "stream": True,
        "return_token_ids": True,
    }
    if request.allowed is not None:
        body["allowed_token_ids"] = list(request.allowed)
    return json.dumps(body).encode()


def _events(answer: HTTPResponse) -> Iterator[list[int]]:
    """Yield token ids from server-sent events. A stream without ``[DONE]`` at its end was cut."""
    while line := answer.readline(MAX_LINE_BYTES):
        client_message = line.removeprefix(b"data:").strip() if line.startswith(b"data:") else b""
        if client_message == b"[DONE]":
            return
        if client_message:
            yield from _ids(client_message)
    kind = answer.getheader("Content-Type", "")
    if not kind.startswith("text/event-stream"):
        raise UpstreamError(
            f"vLLM answers with {shown(kind)} instead of tokens; this may be the page of a proxy",
            502,
            BAD_ANSWER_MESSAGE,
        )
    raise UpstreamAwayError("vLLM has gone away: its answer ends too early")


def _ids(event: bytes) -> Iterator[list[int]]:
    try:
        data = json.loads(event)
        if "error" in data:
            raise failure_of(int(data["error"].get("code") or 500), event)
        for choice in data["choices"]:
            if "token_ids" not in choice:
                raise VoiceBrokenError("this vLLM does not return token ids (return_token_ids); install a newer vLLM")
            yield [int(token) for token in choice["token_ids"] or []]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"vLLM sends {shown(event[:200].decode(errors='replace'))} among its tokens: {reason(error)}"
        raise UpstreamError(message, 502, BAD_ANSWER_MESSAGE) from error


def _error_message(content: bytes) -> str | None:
    """Return the message of an error in vLLM's format or FastAPI's; None for other content."""
    try:
        client_message = json.loads(content)
        error = client_message.get("error", client_message)
        if isinstance(error, dict):
            error = error.get("message") or error.get("detail") or error
        return in_a_line(str(error)[:500])
    except (ValueError, AttributeError):
        return None


def _seconds(retry_after: str | None) -> int:
    """Return the seconds of a header ``Retry-After``; 10 without the header, or if it holds a date."""
    text = (retry_after or "").strip()
    return max(1, min(MAX_RETRY_SECONDS, int(text))) if text.isascii() and text.isdigit() and len(text) < 10 else 10
