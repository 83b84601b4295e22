"""What is asked of a vLLM server: its models, adapters to load, tokens to draw."""

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

NONSENSE = "the server behind this one answers in a way that vtune does not understand; the log says more"
KEY_REFUSED = "the server behind this one refuses vtune's key; the log says more"

MAX_ANSWER_BYTES = 16 << 20
MAX_LINE_BYTES = 1 << 20
HEALTH_SECONDS = 5.0
"""Seconds in which a server must say that it is well."""
LONGEST_RETRY_SECONDS = 600


class VllmRefusalError(VtuneError):
    """The server understood, and refuses what it was asked for; ``status`` is HTTP's, the message its own."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"vLLM answers {status}: {message}")
        self.status = status


def failure_of(status: int, content: bytes, retry_after: str | None = None) -> VtuneError:
    """Return the error that an answer other than 200 means; docs/serve.md has the table.

    :param content: of the answer: JSON where vLLM itself has answered, often HTML where a proxy has.
    :param retry_after: of the header, if there is one.
    """
    client_message, seconds = _told(content), _seconds(retry_after)
    message = f"vLLM answers {status}: {client_message or in_a_line(content[:200].decode(errors='replace'))}"
    match status:
        case 401 | 403:
            return UpstreamError(message, 502, KEY_REFUSED)
        case 429:
            client_message = f"too many requests wait at the server behind this one; try again in {seconds} s"
            return UpstreamError(message, 503, client_message, seconds)
        case 400 | 404 | 409 | 413 | 422 | 500 if client_message is not None:
            return VllmRefusalError(status, client_message)
        case _ if status >= 500:
            return UpstreamAwayError(message, seconds)
    return UpstreamError(message, 502, NONSENSE)


def upstream_error_of(error: VllmRefusalError) -> UpstreamError:
    """Return what a refusal means for whoever asked for speech, in words that are not vLLM's."""
    message, client_message = str(error), "the server behind this one refuses this request; the log says why"
    if error.status >= 500 or error.status == 404:
        return UpstreamAwayError(message)
    if re.search(r"context length|model length|max_model_len|too (long|many tokens)", message, re.IGNORECASE):
        client_message = "input: the text is too long for the server behind this one; send less text at once"
    elif name := re.search(r"\b(temperature|top_p|repetition_penalty|seed)\b", message):
        client_message = f"{name[1]}: the server behind this one does not take this value"
    return UpstreamError(message, 400, client_message)


@dataclass(frozen=True, slots=True)
class Model:
    """A model that the server has; an adapter has a ``parent``. ``root`` is what it was loaded from."""

    id: str
    root: str
    parent: str | None


class Client:
    """Talks to one server, a connection each time.

    :param url: of the server, without ``/v1``.
    :param key: its API key; empty for none.
    :param patience: seconds of silence after which it is taken for gone.
    :raises VtuneError: the URL is none.
    """

    def __init__(self, url: str, key: str = "", patience: float = 120.0) -> None:
        parts = urlsplit(url)
        try:
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if parts.scheme not in ("http", "https") or not host:
            raise VtuneError(f"{shown(url)} is no address of a vLLM server; one is http://127.0.0.1:8000")
        self.url = url
        self._host, self._port, self._kind = host, port, HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._path = parts.path.rstrip("/").removesuffix("/v1")
        self._key, self._patience = key, patience

    def is_well(self) -> bool:
        """Tell whether the server answers, and soon."""
        try:
            self._ask("GET", "/health", patience=min(HEALTH_SECONDS, self._patience))
        except VtuneError:
            return False
        return True

    def models(self) -> list[Model]:
        """Return the models that the server lists."""
        try:
            listed = json.loads(self._ask("GET", "/v1/models"))["data"]
            return [Model(one["id"], one.get("root") or one["id"], one.get("parent")) for one in listed]
        except VllmRefusalError as error:
            raise upstream_error_of(error) from error
        except (ValueError, KeyError, TypeError) as error:
            message = f"{self.url} does not list models as vLLM does: {reason(error)}"
            raise UpstreamError(message, 502, NONSENSE) from error

    def load(self, name: str, path: str) -> None:
        """Load an adapter under a name. :raises VllmRefusalError: the server will not."""
        self._ask("POST", "/v1/load_lora_adapter", {"lora_name": name, "lora_path": path})

    def unload(self, name: str) -> None:
        """Forget an adapter. :raises VllmRefusalError: the server does not have it."""
        self._ask("POST", "/v1/unload_lora_adapter", {"lora_name": name})

    def draw(self, model: str, drawing: SamplingRequest) -> TokenStream:
        """Begin to draw; nothing is sent yet. :raises UpstreamAwayError: the server is not there."""
        return TokenStream(self._connected(), f"{self._path}/v1/completions", self._headers(), _body(model, drawing))

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
    """Tokens on their way; ``break_off`` may be called from another thread, everything else from one."""

    def __init__(self, connection: HTTPConnection, path: str, headers: Mapping[str, str], body: bytes) -> None:
        self._connection, self._socket = connection, connection.sock
        self._path, self._headers, self._body = path, headers, body

    def ids(self) -> Iterator[list[int]]:
        """Ask, and yield ids as they come, some at a time.

        :raises VllmRefusalError: the server refuses, or breaks off and says why.
        :raises UpstreamError: it is gone, or answers as no vLLM does.
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
        """End the waiting for a token, and with the connection the drawing."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let the connection go; the server draws no further."""
        self._connection.close()


def _body(model: str, drawing: SamplingRequest) -> bytes:
    # What is left out here a server takes from the checkpoint's generation_config.json.
    asked: dict[str, Any] = {
        "model": model,
        "prompt": list(drawing.prompt),
        "max_tokens": drawing.max_tokens,
        "seed": drawing.seed,
        "temperature": drawing.temperature,
        "top_p": drawing.top_p,
        "top_k": -1,
        "min_p": 0.0,
        "repetition_penalty": drawing.repetition_penalty,
        "stop_token_ids": list(drawing.stop),
        "ignore_eos": True,
        "stream": True,
        "return_token_ids": True,
    }
    if drawing.allowed is not None:
        asked["allowed_token_ids"] = list(drawing.allowed)
    return json.dumps(asked).encode()


def _events(answer: HTTPResponse) -> Iterator[list[int]]:
    """Yield token ids from server-sent events. An end without ``[DONE]`` is none: the connection was cut on the way."""
    while line := answer.readline(MAX_LINE_BYTES):
        client_message = line.removeprefix(b"data:").strip() if line.startswith(b"data:") else b""
        if client_message == b"[DONE]":
            return
        if client_message:
            yield from _ids(client_message)
    kind = answer.getheader("Content-Type", "")
    if not kind.startswith("text/event-stream"):
        raise UpstreamError(f"vLLM answers with {shown(kind)} and no tokens: a proxy's page?", 502, NONSENSE)
    raise UpstreamAwayError("vLLM has gone away: its answer ends before its end")


def _ids(event: bytes) -> Iterator[list[int]]:
    try:
        data = json.loads(event)
        if "error" in data:
            raise failure_of(int(data["error"].get("code") or 500), event)
        for choice in data["choices"]:
            if "token_ids" not in choice:
                raise VoiceBrokenError("this vLLM does not give token ids (return_token_ids); it takes a newer one")
            yield [int(token) for token in choice["token_ids"] or []]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"vLLM sends {shown(event[:200].decode(errors='replace'))} among its tokens: {reason(error)}"
        raise UpstreamError(message, 502, NONSENSE) from error


def _told(content: bytes) -> str | None:
    """Return what an error says, in vLLM's form or FastAPI's; None if it has neither."""
    try:
        client_message = json.loads(content)
        error = client_message.get("error", client_message)
        if isinstance(error, dict):
            error = error.get("message") or error.get("detail") or error
        return in_a_line(str(error)[:500])
    except (ValueError, AttributeError):
        return None


def _seconds(retry_after: str | None) -> int:
    """Return a header's seconds; 10 if it has none, or a date."""
    text = (retry_after or "").strip()
    return max(1, min(LONGEST_RETRY_SECONDS, int(text))) if text.isascii() and text.isdigit() and len(text) < 10 else 10
