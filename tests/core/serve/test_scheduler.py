"""More bases than fit in memory: every request ends with its voice's sound, or is told when to try again."""

from __future__ import annotations

import asyncio
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vtune.runtime.paths import new_folder
from vtune.serve import ServeSettings, SynthesisRequest, VoiceRegistry, scheduler
from vtune.serve.failures import BusyError, StoppingError, VoiceBrokenError
from vtune.serve.queue import Job, listen
from vtune.serve.scheduler import Scheduler
from vtune.types import Audio, Ending
from vtune.voices.mixing import open_named

PIECE = Audio(np.full(800, 0.1, np.float32), 8000, Ending.END_TOKEN)
TENURE_SECONDS = 0.1


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "MIN_TENURE_SECONDS", TENURE_SECONDS)


class Bases:
    """Opens bases that speak one piece after some seconds, and records which were in memory at the same time."""

    def __init__(self, seconds: float = 0.0, load_seconds: float = 0.0) -> None:
        self.seconds, self.load_seconds = seconds, load_seconds
        self.opened: list[str] = []
        self.broken: set[str] = set()

    def open(self, request: SynthesisRequest) -> Any:
        time.sleep(self.load_seconds)
        self.opened.append(request.text)
        if request.text in self.broken:
            raise VoiceBrokenError(request.text)
        return Base(request.text, self.seconds)


class Base:
    def __init__(self, name: str, seconds: float) -> None:
        self.name, self.seconds = name, seconds

    def __len__(self) -> int:
        return 1

    def say(self, request: SynthesisRequest) -> Iterator[Audio]:
        assert request.text == self.name, "spoken by another base"
        time.sleep(self.seconds)
        yield PIECE


class Client:
    """Waits for the end of one job, whose text is the name of its base."""

    def __init__(self, desk: Scheduler, anna: Any, base: str) -> None:
        self.base = base
        self.got: list[Any] = []
        self.ended = threading.Event()
        self.job = Job(SynthesisRequest(anna, base, 0), self._take)
        desk.submit(self.job, base)

    def _take(self, item: Any) -> None:
        self.got.append(item)
        if item is None or isinstance(item, BaseException):
            self.ended.set()

    def has_sound(self) -> bool:
        assert self.ended.wait(30), f"{self.base}: never answered"
        return self.got == [PIECE, None]


@pytest.fixture
def anna(two_voices: Path) -> Any:
    return VoiceRegistry(two_voices, {}, {}, 8).find("anna")


@pytest.fixture
def desk() -> Iterator[Callable[..., Scheduler]]:
    made: list[Scheduler] = []

    def make(opener: Bases, **settings: Any) -> Scheduler:
        made.append(Scheduler(opener.open, ServeSettings(**{"waiting": 100, **settings})))
        return made[-1]

    yield make
    for item in made:
        item.close(10)
        assert not any(worker.thread.is_alive() for worker in item.workers)


def test_two_bases_asked_for_at_once_are_both_answered(desk: Callable[..., Scheduler], anna: Any) -> None:
    bases = Bases()
    for _ in range(20):
        made = desk(bases)
        both = [Client(made, anna, name) for name in ("a", "b")]
        assert all(client.has_sound() for client in both)


def test_a_base_in_demand_makes_room_for_another_and_comes_back(desk: Callable[..., Scheduler], anna: Any) -> None:
    """One base always has requests; another waits for about its tenure and not for ever, and each is loaded once."""
    bases = Bases(seconds=0.02)
    made, stop, clients = desk(bases, turns=2), threading.Event(), list[Client]()

    def ask() -> None:
        while not stop.is_set():
            clients.append(Client(made, anna, "busy"))
            time.sleep(0.01)

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.1)
    for _ in range(3):
        rare = Client(made, anna, "rare")
        answered = rare.ended.wait(20)
        if not answered:
            break
    stop.set()
    asking.join()
    assert answered, "waited in vain while another base was asked for"
    assert all(client.has_sound() for client in clients)
    assert len(bases.opened) <= 7  # busy, and three times both


def test_a_base_that_takes_long_to_load_speaks_as_long(desk: Callable[..., Scheduler], anna: Any) -> None:
    bases = Bases(seconds=0.02, load_seconds=0.3)
    made = desk(bases, turns=1)
    clients = [Client(made, anna, name) for _ in range(30) for name in ("a", "b")]
    assert all(client.has_sound() for client in clients)
    assert all(base != other for base, other in pairwise(bases.opened))
    assert len(bases.opened) <= 8  # of 60 that take turns; some 15 are spoken in 0.3 s


def test_with_room_for_all_bases_none_is_loaded_twice(desk: Callable[..., Scheduler], anna: Any) -> None:
    bases = Bases(seconds=0.005)
    made = desk(bases, bases=3)
    clients = [Client(made, anna, name) for _ in range(20) for name in "abc"]
    assert all(client.has_sound() for client in clients)
    assert sorted(bases.opened) == ["a", "b", "c"]


def test_the_base_that_was_longest_unused_makes_room(desk: Callable[..., Scheduler], anna: Any) -> None:
    bases = Bases()
    made = desk(bases, bases=2)
    for name in ("a", "b", "a", "c", "a"):
        assert Client(made, anna, name).has_sound()
    assert bases.opened == ["a", "b", "c"]


def test_a_base_that_cannot_be_loaded_is_in_nobodys_way(desk: Callable[..., Scheduler], anna: Any) -> None:
    bases = Bases()
    bases.broken = {"b"}
    made = desk(bases)
    clients = [Client(made, anna, name) for name in "abababab"]
    for client in clients:
        assert client.has_sound() == (client.base == "a")
        assert client.base == "a" or isinstance(client.got[-1], VoiceBrokenError)


def test_whoever_is_closed_while_busy_is_told(desk: Callable[..., Scheduler], anna: Any) -> None:
    for _ in range(10):
        made = desk(Bases(seconds=0.01), turns=2)
        clients = [Client(made, anna, name) for name in "abcabcabc"]
        time.sleep(0.02)
        made.close(10)
        with pytest.raises(StoppingError):
            Client(made, anna, "a")
        for client in clients:
            assert client.has_sound() or isinstance(client.got[-1], StoppingError)


def test_whoever_has_waited_long_enough_is_told_to_come_again(desk: Callable[..., Scheduler], anna: Any) -> None:
    made = desk(Bases(seconds=1.0), turns=1)

    class JobRunner:
        leave, withdraw = made.leave, made.withdraw

        def submit(self, job: Job) -> None:
            made.submit(job, job.request.text)

    async def ask() -> list[Audio]:
        return [piece async for piece in listen(JobRunner(), SynthesisRequest(anna, "a", 0), longest_wait=0.3)]

    async def both() -> list[Any]:
        return await asyncio.gather(ask(), ask(), return_exceptions=True)

    first, second = asyncio.run(both())
    assert first == [PIECE]  # what is spoken takes as long as it takes
    assert isinstance(second, BusyError)
    assert made.load().waiting == 0


def shaken(seed: int, desk: Callable[..., Scheduler], anna: Any) -> None:
    """Run two to six bases, one of them broken, with clients that come, wait and leave at random."""
    chance = random.Random(seed)
    bases = Bases(seconds=chance.choice((0, 0.001, 0.005)), load_seconds=chance.choice((0, 0.005)))
    names = "abcdef"[: chance.randint(2, 6)]
    bases.broken = set(chance.choice(("", names[-1])))
    made = desk(bases, bases=chance.randint(1, 3), turns=chance.randint(1, 4), waiting=chance.choice((2, 50)))
    stayed: list[Client] = []
    for _ in range(80):
        time.sleep(chance.choice((0, 0, 0.002, 0.01)))
        try:
            client = Client(made, anna, chance.choice(names))
        except BusyError:
            continue
        if chance.random() < 0.2:
            made.leave(client.job)
        else:
            stayed.append(client)
    closes = chance.random() < 0.3
    if closes:
        made.close(10)
    for client in stayed:
        if not client.has_sound():
            answer = client.got[-1]
            assert closes or client.base in bases.broken, client.got
            assert isinstance(answer, VoiceBrokenError | StoppingError)
    end = time.monotonic() + 10
    while (load := made.load()).waiting or load.speaking:
        assert time.monotonic() < end, load
        time.sleep(0.01)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_comes_when_is_answered(seed: int, desk: Callable[..., Scheduler], anna: Any) -> None:
    shaken(seed, desk, anna)


@pytest.mark.proof
@pytest.mark.parametrize("seed", range(100, 400))
def test_whatever_comes_when_is_answered_at_length(seed: int, desk: Callable[..., Scheduler], anna: Any) -> None:
    shaken(seed, desk, anna)


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory, make_voice: Callable[..., Any]) -> Path:
    """Write six voices of three bases, two for each base; one voice is damaged."""
    folder = tmp_path_factory.mktemp("six") / "voices"
    for number in range(6):
        make_voice(folder / f"voice{number}", seed=number, engine_options={"width": 16 + number // 2})
    (folder / "voice5" / "adapter_model.safetensors").write_bytes(b"no tensors")
    return folder


def asked_over_http(seed: int, requests: int, start: Callable[..., Any], six: Path, spare: Path) -> None:
    """Ask a real server as chance has it, hang up, and replace a voice meanwhile.

    Clients that are told to come again do so, as often as they are told, so all of them get an answer however slow the
    machine is.
    """
    shutil.copytree(six, spare)
    chance = random.Random(seed)
    server = start(spare, bases=chance.randint(1, 2), turns=2, adapters=2, waiting=8)
    homes = {
        name: sum(len(piece.waveform) for piece in open_named(name, six, "cpu").stream("hi there", 1)) * 3
        for name in (f"voice{number}" for number in range(5))
    }
    answers: list[tuple[str, int, bytes]] = []
    end = time.monotonic() + 20 + 4 * requests

    def ask(name: str, leaves: bool) -> None:
        asked = {"input": "hi there", "voice": name, "response_format": "pcm", "seed": 1}
        if leaves:
            connection, answer = server.open("POST", "/v1/audio/speech", asked)
            answer.close()
            connection.close()
            return
        status, content, headers = server.post(asked)
        while status == 503 and time.monotonic() < end:
            time.sleep(int(headers["retry-after"]))
            status, content, headers = server.post(asked)
        answers.append((name, status, content))

    def replace() -> None:
        for _ in range(requests // 4):
            with new_folder(spare / "voice0") as aside:
                shutil.copytree(six / "voice0", aside, dirs_exist_ok=True)
            time.sleep(0.05)

    threads = [threading.Thread(target=replace)]
    stay = 0
    for _ in range(requests):
        name, leaves = f"voice{chance.choice((0, 0, 1, 2, 3, 4, 5))}", chance.random() < 0.2
        threads.append(threading.Thread(target=ask, args=(name, leaves)))
        stay += not leaves
    for thread in threads:
        thread.start()
        time.sleep(chance.choice((0, 0, 0.02)))
    for thread in threads:
        thread.join(max(0.0, end + 60 - time.monotonic()))
        assert not thread.is_alive(), "never answered"
    assert len(answers) == stay
    for name, status, content in answers:
        if name == "voice5":
            assert status == 500
            assert b"voice_broken" in content
        else:
            assert (status, len(content) // 2) == (200, homes[name]), (name, content[:200])
    server.settled(lambda: server.backend.load().speaking == 0)


def test_a_server_answers_whatever_comes(start: Callable[..., Any], six: Path, tmp_path: Path) -> None:
    asked_over_http(1, 40, start, six, tmp_path / "voices")


@pytest.mark.proof
@pytest.mark.parametrize("seed", range(2, 22))
def test_a_server_answers_whatever_comes_at_length(
    seed: int, start: Callable[..., Any], six: Path, tmp_path: Path
) -> None:
    asked_over_http(seed, 150, start, six, tmp_path / "voices")
