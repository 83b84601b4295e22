"""A real server on a real port, with two small voices."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")
pytest.importorskip("uvicorn", reason="the extra 'serve' is not installed")

from uvicorn import Server

from vtune.runtime.paths import VoiceFolder
from vtune.serve import ServeSettings, VoiceRegistry
from vtune.serve.api_keys import ApiKeys
from vtune.serve.app import create_app
from vtune.serve.connections import uvicorn_config
from vtune.serve.inprocess import InProcessBackend
from vtune.serve.serve import _bound

SPEECH = "/v1/audio/speech"


class Client:
    """Sends requests to one server, each on a new connection."""

    def __init__(self, port: int, log: list[dict[str, Any]], backend: Any) -> None:
        self.port, self.log, self.backend = port, log, backend
        self.url = f"http://127.0.0.1:{port}"

    def open(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[HTTPConnection, HTTPResponse]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=120)
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        kind = {} if body is None else {"Content-Type": "application/json"}
        connection.request(method, path, data, {**kind, **(headers or {})})
        return connection, connection.getresponse()

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, Any]]:
        connection, answer = self.open("GET", path, headers=headers)
        content = answer.read()
        connection.close()
        return answer.status, json.loads(content)

    def post(self, body: Any, headers: dict[str, str] | None = None) -> tuple[int, bytes, dict[str, str]]:
        connection, answer = self.open("POST", SPEECH, body, headers)
        content = answer.read()
        connection.close()
        return answer.status, content, {name.lower(): value for name, value in answer.getheaders()}

    def said(self, voice: Any = "anna", text: str = "hello there", **more: Any) -> np.ndarray:
        """Return the sound of an answer at 24 kHz."""
        asked = {"input": text, "voice": voice, "response_format": "pcm", "seed": 1, **more}
        status, content, _ = self.post(asked)
        assert status == 200, content
        return np.frombuffer(content, "<i2").astype(np.float32) / 32768

    def refused(self, asked: Any, headers: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
        """Return status and error of an answer that is not sound."""
        status, content, _ = self.post(asked, headers)
        error: dict[str, Any] = json.loads(content)["error"]
        return status, error

    def settled(self, true: Callable[[], bool]) -> None:
        """Wait until the server has reached a state."""
        end = time.monotonic() + 60
        while not true():
            assert time.monotonic() < end, "never true"
            time.sleep(0.01)


@pytest.fixture(scope="session")
def two_voices(tmp_path_factory: pytest.TempPathFactory, make_voice: Callable[..., VoiceFolder]) -> Path:
    """Write voices of the toy engine with different adapters, ranks and targets."""
    folder = tmp_path_factory.mktemp("served") / "voices"
    make_voice(folder / "anna", seed=1, seconds=2.0)
    make_voice(folder / "ben", seed=2, loudness=0.5, lora={"rank": 2, "alpha": 8, "targets": ["outer"]})
    return folder


@pytest.fixture(scope="session")
def start() -> Iterator[Callable[..., Client]]:
    """Start servers; they end with the test session."""
    with ExitStack() as ends:

        def make(voices: Path, keys: tuple[str, ...] = (), backend: Any = None, **settings: Any) -> Client:
            server_settings = ServeSettings(**settings)
            backend = backend or InProcessBackend(server_settings, "cpu")
            log: list[dict[str, Any]] = []
            registry = VoiceRegistry(voices, server_settings.aliases, {}, server_settings.mix_voices)

            def write(line: str) -> None:
                log.append(json.loads(line))

            app = create_app(registry, backend, server_settings, keys=ApiKeys(keys), write=write)
            listening = _bound("127.0.0.1", 0)
            server = Server(uvicorn_config(app, server_settings, write))
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
            thread.start()

            def end() -> None:
                server.should_exit = True
                thread.join(20)
                backend.close()
                listening.close()

            ends.callback(end)
            client = Client(listening.getsockname()[1], log, backend)
            client.settled(lambda: server.started)
            return client

        yield make


@pytest.fixture(scope="session")
def client(start: Callable[..., Client], two_voices: Path) -> Client:
    """Start a server with an alias; return a client."""
    return start(two_voices, aliases={"alloy": "anna", "both": "0.5*anna+0.5*ben"})
