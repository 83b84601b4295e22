"""How a server stops, and what it answers about its readiness; the backend speaks when the test says so."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from http.client import HTTPConnection, IncompleteRead
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")

from uvicorn import Config

from vtune.errors import VtuneError
from vtune.serve import BackendLoad, ServeSettings, SynthesisRequest, VoiceRegistry
from vtune.serve.app import create_app
from vtune.serve.failures import StoppingError
from vtune.serve.lifecycle import Lifecycle
from vtune.serve.serve import _bound
from vtune.serve.stop_signals import StopSignals
from vtune.serve.uvicorn_server import StoppableServer
from vtune.types import Audio, Ending

PIECE = Audio(np.full(24_000, 0.1, np.float32), 24_000)
LAST = Audio(np.full(24_000, 0.1, np.float32), 24_000, Ending.END_TOKEN)


class OnCommand:
    """Speaks one piece at once and the last piece when the test says so; the text "wait" waits for a turn that never
    comes.
    """

    def __init__(self) -> None:
        self.finish = threading.Event()
        self.gone: list[str] = []
        self.waiting: list[asyncio.Future[None]] = []
        self.lacks: list[str] = []
        self.broken: VtuneError | None = None

    async def speak(self, request: SynthesisRequest) -> AsyncGenerator[Audio, None]:
        try:
            if request.text == "wait":
                self.waiting.append(asyncio.get_running_loop().create_future())
                await self.waiting[-1]
            if request.text == "slow":  # is being spoken, but nothing of it is there yet
                await asyncio.sleep(60)
            yield PIECE
            while not self.finish.is_set():
                await asyncio.sleep(0.01)
            yield LAST
        finally:
            self.gone.append(request.text)

    def prepare(self, voice: Any) -> None: ...

    def load(self) -> BackendLoad:
        return BackendLoad()

    def missing(self) -> list[str]:
        return self.lacks

    def failure(self) -> VtuneError | None:
        return self.broken

    def drain(self) -> None:
        for job in self.waiting:
            job.set_exception(StoppingError())

    def kill(self) -> None: ...

    def close(self) -> None: ...


class Running:
    """A server in a thread, whose signals the test counts."""

    def __init__(self, voices: Path, **settings: Any) -> None:
        server_settings = ServeSettings(**settings)
        self.backend, self.signals, self.log = OnCommand(), StopSignals(), []  # type: ignore[var-annotated]
        lifecycle = Lifecycle(server_settings.drain_seconds)
        app = create_app(
            VoiceRegistry(voices, {}, {}, 8), self.backend, server_settings, lifecycle=lifecycle,
            write=lambda line: self.log.append(json.loads(line)),
        )  # fmt: skip
        config = Config(app, log_config=None, access_log=False, lifespan="off", ws="none", timeout_graceful_shutdown=2)
        self._listening = _bound("127.0.0.1", 0)
        self.port = self._listening.getsockname()[1]
        self.server = StoppableServer(config, lifecycle, self.backend, self.signals)
        # What a second signal does in the end is a matter of processes.
        self.signals.end = lambda number=signal.SIGTERM: None  # type: ignore[method-assign]
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self._listening]}, daemon=True)
        self.thread.start()
        self.until(lambda: self.server.started)

    def until(self, true: Callable[[], bool]) -> None:
        end = time.monotonic() + 30
        while not true():
            assert time.monotonic() < end, "never true"
            time.sleep(0.01)

    def ended(self) -> float:
        """Wait until the server has ended, and return how many seconds that took."""
        started = time.monotonic()
        self.thread.join(30)
        assert not self.thread.is_alive()
        return time.monotonic() - started

    def get(self, path: str) -> tuple[int, Any]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    def post(self, text: str, **more: Any) -> tuple[int, bytes, dict[str, str], bool]:
        """Return status, content, headers, and whether the answer is whole."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        body = json.dumps({"input": text, "voice": "anna", "response_format": "pcm", **more})
        connection.request("POST", "/v1/audio/speech", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        try:
            return answer.status, answer.read(), headers, True
        except IncompleteRead as error:
            return answer.status, error.partial, headers, False


@pytest.fixture
def running(two_voices: Path) -> Iterator[Callable[..., Running]]:
    made: list[Running] = []

    def make(**settings: Any) -> Running:
        made.append(Running(two_voices, **settings))
        return made[-1]

    yield make
    for item in made:
        item.server.should_exit = True
        item.backend.finish.set()
        item.thread.join(30)


def posted(server: Running, *texts: str, **more: Any) -> list[Future[Any]]:
    """Send requests, and return when each has reached the state that its text names."""
    pool = ThreadPoolExecutor(len(texts))
    sent = [pool.submit(server.post, text, **more) for text in texts]
    server.until(lambda: len(server.server._lifecycle._requests) == len(texts))
    server.until(lambda: len(server.backend.waiting) == texts.count("wait"))
    time.sleep(0.1)  # whatever speaks has sent its first piece
    return sent


def test_answers_finish_and_whoever_waits_or_comes_is_told_to_come_again(running: Callable[..., Running]) -> None:
    server = running()
    speaking, waiting = posted(server, "speak", "wait")
    server.signals.count = 1
    status, content, headers, _ = waiting.result(10)
    assert (status, headers["retry-after"], headers["connection"]) == (503, "10", "close")
    assert json.loads(content)["error"]["code"] == "stopping"
    status, content, headers, _ = server.post("another")  # the door is open, but nobody is let in
    assert (status, headers["retry-after"]) == (503, "10")
    assert server.get("/health")[0] == 200
    assert server.get("/ready") == (503, {"status": "not ready", "missing": ["the server is being stopped"]})
    assert server.thread.is_alive()
    server.backend.finish.set()
    status, content, _, is_complete = speaking.result(10)
    assert (status, is_complete, len(content)) == (200, True, 2 * 2 * 24_000)
    assert server.ended() < 3
    with pytest.raises(ConnectionRefusedError):
        server.get("/health")
    assert sorted((line["status"], line.get("ended")) for line in server.log) == [
        (200, "done"),
        (503, None),
        (503, None),
    ]


def test_an_answer_that_takes_too_long_is_cut_and_written_down(running: Callable[..., Running]) -> None:
    server = running(drain_seconds=0.3)
    cut, unheard = posted(server, "speak", "slow")
    events = ThreadPoolExecutor(1).submit(server.post, "events", stream_format="sse")
    server.until(lambda: len(server.server._lifecycle._requests) == 3)
    time.sleep(0.1)
    server.signals.count = 1
    assert server.ended() < 3
    status, content, headers, is_complete = cut.result(10)
    assert (status, is_complete, len(content)) == (200, False, 2 * 24_000)  # half a file is never taken for a whole one
    status, content, _, _ = unheard.result(10)
    assert (status, json.loads(content)["error"]["code"]) == (503, "stopping")
    status, content, _, is_complete = events.result(10)
    last = json.loads(content.split(b"data: ")[-1])
    assert (status, is_complete, last["type"], last["error"]["code"]) == (200, True, "error", "stopping")
    lines = [line for line in server.log if line.get("ended") == "cut"]
    assert [(line["voice"], line["sound"]) for line in lines] == [("anna", 1.0)] * 2
    assert headers["x-request-id"] in [line["id"] for line in lines]
    assert sorted(server.backend.gone) == ["events", "slow", "speak"]  # nothing speaks on for nobody


def test_a_second_signal_cuts_at_once(running: Callable[..., Running]) -> None:
    server = running(drain_seconds=600)
    (cut,) = posted(server, "speak")
    server.signals.count = 1
    server.until(lambda: server.get("/ready")[0] == 503)
    server.signals.count = 2
    assert server.ended() < 3
    assert cut.result(10)[3] is False
    assert [line["ended"] for line in server.log] == ["cut"]


def test_a_back_end_that_has_failed_for_good_ends_the_server(running: Callable[..., Running]) -> None:
    server = running()
    server.backend.broken = VtuneError("vLLM has died too often")
    assert server.ended() < 3


def test_readiness_says_what_is_missing(running: Callable[..., Running]) -> None:
    server = running()
    assert server.get("/ready") == (200, {"status": "ready", "missing": []})
    server.backend.lacks.append("vLLM is being started")
    assert server.get("/ready") == (503, {"status": "not ready", "missing": ["vLLM is being started"]})
    assert server.get("/health")[0] == 200
    assert server.log == []  # probes come every few seconds


PROGRAM = """
import os, sys, time
from vtune.serve.stop_signals import StopSignals
with StopSignals() as signals:
    signals.kill = lambda: os.write(1, b"killed\\n")  # a signal may come inside print()
    signals.serving = "serving" in sys.argv
    def work():
        seen = 0
        while signals.count < 2 or "closing" in sys.argv:
            if signals.count > seen:
                seen = signals.count
                print("signal", seen, flush=True)
            time.sleep(0.05)
    try:
        print("there", flush=True)
        work()
    except KeyboardInterrupt:
        if "closing" not in sys.argv:
            raise
        work()
print("left", flush=True)
if signals.count > 1:
    signals.end()
"""


@pytest.mark.parametrize(
    ("phase", "signals", "number", "code", "message"),
    [
        ("starting", 1, signal.SIGINT, 0, "left"),
        ("serving", 2, signal.SIGTERM, 143, "left killed"),  # the server has cut its answers in between
        ("closing", 2, signal.SIGINT, 130, "killed"),
    ],
)
def test_signals_end_a_process_whatever_it_does(phase: str, signals: int, number: int, code: int, message: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, phase], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "there\n"
    process.send_signal(number)
    if signals == 2:
        # Two signals that are sent at once may reach a busy process as one.
        assert process.stdout.readline() == "signal 1\n"
        process.send_signal(number)
    rest, _ = process.communicate(timeout=30)
    assert (process.returncode, " ".join(rest.split())) == (code, message)
