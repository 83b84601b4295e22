"""What is asked of a vLLM server: its models, adapters to load, tokens to draw."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from vtune.errors import VtuneError, reason, shown
from vtune.serve.failures import AwayError, BrokenError
from vtune.types import Drawing


class AnswerError(VtuneError):
    """The server refused; ``status`` is HTTP's, the message its own."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"vLLM answers {status}: {message}")
        self.status = status


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
        """Tell whether the server answers."""
        try:
            self._ask("GET", "/health")
        except VtuneError:
            return False
        return True

    def models(self) -> list[Model]:
        """Return the models that the server lists."""
        try:
            listed = json.loads(self._ask("GET", "/v1/models"))["data"]
            return [Model(one["id"], one.get("root") or one["id"], one.get("parent")) for one in listed]
        except (ValueError, KeyError, TypeError) as error:
            raise VtuneError(f"{self.url} does not list models as vLLM does: {reason(error)}") from error

    def load(self, name: str, path: str) -> None:
        """Load an adapter under a name. :raises AnswerError: the server will not."""
        self._ask("POST", "/v1/load_lora_adapter", {"lora_name": name, "lora_path": path})

    def unload(self, name: str) -> None:
        """Forget an adapter. :raises AnswerError: the server does not have it."""
        self._ask("POST", "/v1/unload_lora_adapter", {"lora_name": name})

    def draw(self, model: str, drawing: Drawing) -> Drawn:
        """Begin to draw; nothing is sent yet. :raises AwayError: the server is not there."""
        return Drawn(self._connected(), f"{self._path}/v1/completions", self._headers(), _body(model, drawing))

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> bytes:
        connection = self._connected()
        try:
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, self._path + path, data, self._headers())
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, HTTPException) as error:
            raise AwayError(f"vLLM at {self.url} does not answer: {reason(error)}") from error
        finally:
            connection.close()
        if answer.status != 200:
            raise AnswerError(answer.status, _told(content))
        return content

    def _connected(self) -> HTTPConnection:
        connection = self._kind(self._host, self._port, timeout=self._patience)
        try:
            connection.connect()
        except OSError as error:
            raise AwayError(f"vLLM at {self.url} does not answer: {reason(error)}") from error
        return connection

    def _headers(self) -> dict[str, str]:
        key = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        return {"Content-Type": "application/json", **key}


class Drawn:
    """Tokens on their way; ``break_off`` may be called from another thread, everything else from one."""

    def __init__(self, connection: HTTPConnection, path: str, headers: Mapping[str, str], body: bytes) -> None:
        self._connection, self._socket = connection, connection.sock
        self._path, self._headers, self._body = path, headers, body

    def ids(self) -> Iterator[list[int]]:
        """Ask, and yield ids as they come, some at a time.

        :raises AnswerError: the server refuses, or breaks off and says why.
        :raises AwayError: it is gone.
        """
        try:
            self._connection.request("POST", self._path, self._body, dict(self._headers))
            answer = self._connection.getresponse()
            if answer.status != 200:
                raise AnswerError(answer.status, _told(answer.read()))
            yield from _events(answer)
        except (OSError, HTTPException) as error:
            raise AwayError(f"vLLM has gone away: {reason(error)}") from error

    def break_off(self) -> None:
        """End the waiting for a token, and with the connection the drawing."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let the connection go; the server draws no further."""
        self._connection.close()


def _body(model: str, drawing: Drawing) -> bytes:
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
    for line in answer:
        told = line.removeprefix(b"data:").strip() if line.startswith(b"data:") else b""
        if told == b"[DONE]":
            return
        if not told:
            continue
        event = json.loads(told)
        if "error" in event:
            raise AnswerError(int(event["error"].get("code") or 500), _told(told))
        for choice in event["choices"]:
            if "token_ids" not in choice:
                raise BrokenError("this vLLM does not give token ids (return_token_ids); it takes a newer one")
            yield choice["token_ids"] or []


def _told(content: bytes) -> str:
    """Return what an error says, in vLLM's form or FastAPI's."""
    try:
        told = json.loads(content)
        error = told.get("error", told)
        if isinstance(error, dict):
            error = error.get("message") or error.get("detail") or error
        return str(error)[:500]
    except (ValueError, AttributeError):
        return content[:200].decode(errors="replace")
