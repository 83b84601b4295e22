"""Many requests at once, and clients that leave: the backend makes sound when the test says so."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from anyio.from_thread import start_blocking_portal

from vtune.serve import ServeSettings, SynthesisRequest, VoiceRegistry
from vtune.serve.failures import BusyError, StoppingError, VoiceBrokenError
from vtune.serve.inprocess import InProcessBackend
from vtune.serve.queue import MAX_RETRY_SECONDS, Job
from vtune.serve.scheduler import Scheduler
from vtune.serve.serve import _preload
from vtune.serve.shared_base import SharedBase
from vtune.types import Audio, Ending

PIECE = Audio(np.full(800, 0.1, np.float32), 8000)
LAST = Audio(np.full(800, 0.1, np.float32), 8000, Ending.END_TOKEN)


class Scripted:
    """A base that speaks three pieces, each when the test allows it."""

    def __init__(self) -> None:
        self.let = threading.Semaphore(0)
        self.said: list[str] = []
        self.closed: list[str] = []

    def __len__(self) -> int:
        return 1

    def say(self, request: SynthesisRequest) -> Iterator[Audio]:
        try:
            for piece in (PIECE, PIECE, LAST):
                self.let.acquire()
                self.said.append(request.text)
                yield piece
        finally:
            self.closed.append(request.text)


@pytest.fixture
def base() -> Scripted:
    return Scripted()


@pytest.fixture
def anna(two_voices: Path) -> Any:
    return VoiceRegistry(two_voices, {}, {}, 8).find("anna")


class OneBase:
    """A scheduler of one worker, whose jobs all need the same base."""

    def __init__(self, open_base: Callable[[SynthesisRequest], Any], turns: int, waiting: int) -> None:
        self.scheduler = Scheduler(open_base, ServeSettings(turns=turns, waiting=waiting))
        (self.worker,) = self.scheduler.workers

    def submit(self, job: Job) -> None:
        self.scheduler.submit(job, "the base")

    @property
    def waiting(self) -> int:
        return self.scheduler.load().waiting

    @property
    def speaking(self) -> int:
        return self.scheduler.load().speaking

    @property
    def idle(self) -> bool:
        return not self.waiting and not self.speaking


@pytest.fixture
def worker(base: Scripted) -> Iterator[OneBase]:
    made = OneBase(lambda request: base, turns=2, waiting=3)
    yield made
    made.scheduler.close(0)
    base.let.release(100)
    made.worker.thread.join(10)
    assert not made.worker.thread.is_alive()


def job(anna: Any, text: str, got: list[Any] | None = None) -> Job:
    return Job(SynthesisRequest(anna, text, 0), (got if got is not None else []).append)


def settled(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_turns_go_round_and_further_jobs_wait(worker: OneBase, base: Scripted, anna: Any) -> None:
    got: dict[str, list[Any]] = {name: [] for name in "abc"}
    for name in "abc":
        worker.submit(job(anna, name, got[name]))
    base.let.release(9)
    settled(lambda: all(items and items[-1] is None for items in got.values()))
    assert base.said == ["a", "b", "a", "b", "a", "b", "c", "c", "c"]
    assert all(items == [PIECE, PIECE, LAST, None] for items in got.values())
    settled(lambda: worker.idle)


def test_whoever_waits_is_refused_when_the_server_stops(worker: OneBase, base: Scripted, anna: Any) -> None:
    got: dict[str, list[Any]] = {name: [] for name in "abc"}
    for name in "abc":
        worker.submit(job(anna, name, got[name]))
    settled(lambda: worker.waiting == 1)
    worker.scheduler.drain()
    assert [type(item) for item in got["c"]] == [StoppingError]
    with pytest.raises(StoppingError):
        worker.submit(job(anna, "d"))
    base.let.release(6)
    settled(lambda: got["a"][-1:] == [None] == got["b"][-1:])  # those that are spoken go on
    assert got["a"] == got["b"] == [PIECE, PIECE, LAST, None]


def test_the_queue_has_an_end(worker: OneBase, base: Scripted, anna: Any) -> None:
    worker.submit(job(anna, "first"))
    settled(lambda: worker.speaking == 1)
    for number in range(3):
        worker.submit(job(anna, str(number)))
    with pytest.raises(BusyError) as caught:
        worker.submit(job(anna, "too many"))
    assert caught.value.retry_after >= 1
    assert worker.waiting == 3


def test_who_is_refused_is_told_how_long_it_takes(worker: OneBase, base: Scripted, anna: Any) -> None:
    def wait_told() -> int:
        with pytest.raises(BusyError) as caught:
            worker.submit(job(anna, "too many"))
        return caught.value.retry_after

    def fill(seconds: float) -> None:
        """Let one job take some seconds, then fill the queue."""
        worker.submit(job(anna, "timed"))
        settled(lambda: worker.speaking == 1)
        time.sleep(seconds)
        base.let.release(3)
        settled(lambda: worker.idle)
        for number in range(2):
            worker.submit(job(anna, str(number)))
        settled(lambda: worker.speaking == 2)
        for number in range(3):
            worker.submit(job(anna, str(number)))

    # What loading takes is nobody's next time.
    worker.worker._base, worker.worker._base_key = base, "the base"  # type: ignore[assignment]
    fill(0.6)
    assert worker.worker.queue.mean == pytest.approx(0.6, abs=0.25)
    # Three wait, half of them before whoever comes back then; and so does everybody who was refused before.
    waits = [wait_told() for _ in range(200)]
    assert waits[0] == pytest.approx(0.6 * 2.5, abs=1.2)
    assert waits == sorted(waits)
    assert waits[-1] == MAX_RETRY_SECONDS
    base.let.release(15)
    settled(lambda: worker.idle)
    base.let = threading.Semaphore(0)
    fill(0)
    assert wait_told() < 10


def test_loading_is_no_measure_of_speaking(base: Scripted, anna: Any) -> None:
    def open_base(request: SynthesisRequest) -> SharedBase:
        time.sleep(0.5)
        return base  # type: ignore[return-value]

    worker = OneBase(open_base, turns=1, waiting=1)
    base.let.release(100)
    got: list[Any] = []
    worker.submit(job(anna, "a", got))
    settled(lambda: bool(got) and got[-1] is None)
    assert worker.worker.queue.mean < 0.4
    worker.scheduler.close(10)


def test_a_voice_is_loaded_before_it_is_asked_for(two_voices: Path) -> None:
    registry = VoiceRegistry(two_voices, {}, {}, 8)
    backend = InProcessBackend(ServeSettings(), "cpu")
    backend.prepare(registry.find("anna"))
    settled(lambda: backend.load().voices == 1)
    settled(lambda: backend.load().speaking == 0)
    assert backend.load().bases == 1
    backend.close()


def test_what_cannot_be_loaded_beforehand_is_told_to_the_log(
    two_voices: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "voices"
    shutil.copytree(two_voices, folder)
    (folder / "ben" / "adapter_model.safetensors").write_bytes(b"no tensors")
    backend = InProcessBackend(ServeSettings(), "cpu")
    _preload(VoiceRegistry(folder, {}, {}, 8), backend, ServeSettings(preload=("ben", "cleo")))
    settled(lambda: len(caplog.messages) == 2)
    assert "voice 'cleo' cannot be loaded: no voice 'cleo'" in caplog.text
    assert "voice 'ben' cannot be loaded:" in caplog.text
    backend.close()


def test_the_first_voice_is_loaded_unless_told_otherwise(two_voices: Path) -> None:
    asked: list[str] = []

    class Listening:
        def prepare(self, voice: Any) -> None:
            asked.append(voice.name)

    registry = VoiceRegistry(two_voices, {"alloy": "ben"}, {}, 8)
    for preload, expected in ((None, ["anna"]), ((), []), (("alloy", "0.5*anna+0.5*ben"), ["ben", "0.5*anna+0.5*ben"])):
        _preload(registry, Listening(), ServeSettings(preload=preload))  # type: ignore[arg-type]
        assert asked == expected
        asked.clear()


def test_who_leaves_makes_room_at_once(worker: OneBase, base: Scripted, anna: Any) -> None:
    worker.submit(job(anna, "first"))
    settled(lambda: worker.speaking == 1)
    waiting = [job(anna, str(number)) for number in range(3)]
    for waiting_job in waiting:
        worker.submit(waiting_job)
    worker.scheduler.leave(waiting[0])
    worker.submit(job(anna, "next"))
    base.let.release(20)
    settled(lambda: worker.idle)
    assert "0" not in base.said


def test_who_leaves_while_it_is_spoken_is_not_spoken_on(worker: OneBase, base: Scripted, anna: Any) -> None:
    first = job(anna, "a")
    worker.submit(first)
    base.let.release()
    settled(lambda: base.said == ["a"])
    worker.scheduler.leave(first)
    base.let.release()  # the piece that was being made
    settled(lambda: base.closed == ["a"])
    assert len(base.said) <= 2


def test_what_an_engine_raises_is_one_jobs_trouble(anna: Any) -> None:
    class Broken:
        def say(self, request: SynthesisRequest) -> Iterator[Audio]:
            yield PIECE
            raise ZeroDivisionError(request.text)

    worker = OneBase(lambda request: Broken(), turns=1, waiting=9)
    got: list[Any] = []
    for text in "ab":
        worker.submit(job(anna, text, got))
    settled(lambda: len(got) == 4)
    assert [str(item) for item in got if isinstance(item, ZeroDivisionError)] == ["a", "b"]
    worker.scheduler.close(10)


def test_a_base_that_cannot_be_loaded_is_tried_again(base: Scripted, anna: Any) -> None:
    tries: list[Any] = []

    def open_base(request: SynthesisRequest) -> SharedBase:
        tries.append(request)
        if len(tries) == 1:
            raise VoiceBrokenError("no disk")
        return base  # type: ignore[return-value]

    worker = OneBase(open_base, turns=1, waiting=9)
    base.let.release(3)
    got: list[Any] = []
    worker.submit(job(anna, "a", got))
    settled(lambda: bool(got))
    assert isinstance(got[0], VoiceBrokenError)
    worker.submit(job(anna, "b", got))
    settled(lambda: got[-1] is None)
    worker.scheduler.close(10)


def test_a_worker_that_is_closed_tells_those_who_wait(base: Scripted, anna: Any) -> None:
    worker = OneBase(lambda request: base, turns=1, waiting=9)
    got: list[Any] = []
    for text in "abc":
        worker.submit(job(anna, text, got))
    settled(lambda: worker.speaking == 1)
    worker.scheduler.close(0)
    with pytest.raises(StoppingError):
        worker.submit(job(anna, "late"))
    base.let.release(3)
    worker.worker.thread.join(10)
    assert sum(isinstance(item, StoppingError) for item in got) == 3


def test_bases_beyond_the_limit_take_turns(two_voices: Path, tmp_path: Path, make_voice: Callable[..., Any]) -> None:
    for number in range(3):
        make_voice(tmp_path / f"wide{number}", engine_options={"width": 16 + number})
    registry = VoiceRegistry(tmp_path, {}, {}, 8)
    backend = InProcessBackend(ServeSettings(bases=2), "cpu")

    async def say(name: str) -> int:
        request = SynthesisRequest(registry.find(name), "hi", 0)
        return sum([len(piece.waveform) async for piece in backend.speak(request)])

    async def all_of_them() -> None:
        for name in ("wide0", "wide1", "wide2", "wide0"):
            assert await say(name) > 0
            assert backend.load().bases <= 2

    with start_blocking_portal() as portal:
        portal.call(all_of_them)
    backend.close()
    assert backend.load().bases == 0


def test_two_hundred_at_once(start: Callable[..., Any], two_voices: Path) -> None:
    server = start(two_voices, waiting=8, turns=2, adapters=4)
    server.said()  # loads the base
    statuses: list[int] = []
    together = threading.Barrier(50)

    def ask(number: int) -> None:
        if number < 50:
            together.wait(30)
        asked = {"input": "hello there", "voice": "anna" if number % 2 else "ben", "response_format": "pcm", "seed": 1}
        status, content, headers = server.post(asked)
        statuses.append(status)
        if status == 503:
            assert int(headers["retry-after"]) >= 1
        else:
            assert content == expected[number % 2]

    expected = [(server.said(name) * 32768).astype("<i2").tobytes() for name in ("ben", "anna")]
    with ThreadPoolExecutor(50) as pool:
        list(pool.map(ask, range(200)))
    assert set(statuses) == {200, 503}
    assert statuses.count(200) >= 10
    load = server.backend.load()
    server.settled(lambda: server.backend.load().speaking == 0)
    assert load.waiting <= 8
    assert len(server.said()) > 0


def test_a_client_that_hangs_up_stops_the_speaking(start: Callable[..., Any], two_voices: Path) -> None:
    server = start(two_voices)
    server.said()
    for body in ({"response_format": "pcm"}, {"stream_format": "sse"}, {"response_format": "mp3"}):
        connection, answer = server.open(
            "POST", "/v1/audio/speech", {"input": "hello there " * 300, "voice": "anna", **body}
        )
        assert answer.read(1)
        answer.close()
        connection.close()
        server.settled(lambda: server.backend.load().speaking == 0)
        server.settled(lambda: server.log[-1].get("ended") == "left")
        full_seconds = len("hello there " * 300) * 2 / 17  # seconds, by the voice's own pace
        assert server.log[-1]["sound"] < full_seconds


def test_clients_that_take_their_time_are_not_without_number(start: Callable[..., Any], two_voices: Path) -> None:
    server = start(two_voices, answers=1)
    asked = {"input": "hello there " * 300, "voice": "anna", "response_format": "wav", "stream": True}
    connection, answer = server.open("POST", "/v1/audio/speech", asked)
    assert answer.read(44)[:4] == b"RIFF"
    status, _, headers = server.post({"input": "hi", "voice": "ben"})
    assert (status, headers["retry-after"]) == (503, "5")
    answer.close()
    connection.close()
    server.settled(lambda: any(line.get("ended") == "left" for line in server.log))
    assert len(server.said("ben"))


def test_memory_stays_flat(start: Callable[..., Any], two_voices: Path) -> None:
    server = start(two_voices)
    process = psutil.Process()

    def ask(times: int) -> None:
        for number in range(times):
            kind = ("mp3", "opus", "aac", "flac", "wav", "pcm")[number % 6]
            server.post({"input": "hi", "voice": f"0.{number % 7 + 1}*anna", "response_format": kind, "speed": 1.5})

    ask(60)
    before = process.memory_info().rss
    ask(120)
    assert process.memory_info().rss - before < 12 << 20  # an encoder that is not let go is a megabyte a request
