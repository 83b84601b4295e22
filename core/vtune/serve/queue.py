"""Requests on their way to a thread that speaks: they wait in a line that has an end."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Protocol

from vtune.serve.backend import SynthesisRequest
from vtune.serve.failures import BusyError, StoppingError
from vtune.serve.registry import RequestedVoice
from vtune.types import Audio

logger = logging.getLogger(__name__)

MAX_RETRY_SECONDS = 60
"""Seconds that somebody who is refused is told to wait."""
RETRY_SECONDS = 10
"""Seconds after which somebody who has waited for too long may try again."""


class Job:
    """What one request wants, and where its sound goes.

    :param give: takes each piece, None at the end, or what went wrong; called on the thread that speaks.
    """

    def __init__(self, request: SynthesisRequest, give: Callable[[Audio | BaseException | None], None]) -> None:
        self.request, self.give = request, give
        self.arrived = time.monotonic()
        self.left = threading.Event()
        self.stop: Callable[[], None] = lambda: None
        """Ends whatever the thread waits for."""
        self.seconds = 0.0


class Preload:
    """Voices that are loaded before anybody asks for them; used from several threads."""

    def __init__(self) -> None:
        self._loading: dict[str, None] = {}
        self._failed: dict[str, None] = {}

    def job(self, voice: RequestedVoice) -> Job:
        """Return a job that only loads a voice; what goes wrong is for the log."""
        self._loading[voice.name] = None
        self._failed.pop(voice.name, None)

        def give(item: Audio | BaseException | None) -> None:
            if item is not None:
                self._failed[voice.name] = None
                logger.warning("voice %r cannot be loaded: %s", voice.name, item)
            self._loading.pop(voice.name, None)

        return Job(SynthesisRequest(voice, "", 0), give)

    def missing(self, loaded: int) -> list[str]:
        """Return what readiness still waits for, given how many voices are in memory; names no voice.

        A voice that cannot be loaded is missed only as long as no voice is in memory: the base itself may be broken.
        """
        if self._loading:
            return ["voices are being loaded"]
        return ["no voice could be loaded; the log says why"] if self._failed and not loaded else []


class JobQueue:
    """Jobs that wait for a thread.

    :param most: jobs that may wait.
    :param threads: that take them.
    :param changed: of whoever takes from several lines.
    """

    def __init__(self, most: int, threads: int = 1, changed: threading.Condition | None = None) -> None:
        self._most, self._threads = most, threads
        self._waiting: deque[Job] = deque()
        self._changed = changed or threading.Condition()
        self._closed = False
        self._refused = 0  # of late; they will come again
        self.mean = 0.0
        """Seconds of work a job takes."""
        self.taken = 0
        """Jobs that were taken and are not finished."""

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def since(self) -> float:
        """When the first of those who wait arrived; infinity when nobody waits."""
        return self._waiting[0].arrived if self._waiting else math.inf

    def add(self, job: Job) -> None:
        """Let a job wait. :raises BusyError: too many do; StoppingError: the line is closed."""
        with self._changed:
            if self._closed:
                raise StoppingError
            if len(self._waiting) >= self._most:
                self._refused += 1
                seconds = self.mean * (len(self._waiting) / 2 + self._refused) / self._threads
                raise BusyError(max(1, min(MAX_RETRY_SECONDS, math.ceil(seconds))))
            self._waiting.append(job)
            self._changed.notify_all()

    def remove(self, job: Job) -> bool:
        """Let a job wait no longer; return whether it did."""
        with self._changed:
            if job not in self._waiting:
                return False
            self._waiting.remove(job)
            return True

    def take(self, *, wait: bool) -> Job | None:
        """Return the job whose turn it is; None when there is none, or the line is closed."""
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._closed or not self._waiting:
                return None
            self.taken += 1
            return self._waiting.popleft()

    def finish(self, job: Job, *, well: bool) -> None:
        """Take note that a job is finished, well or badly."""
        with self._changed:
            self.taken -= 1
            if well and job.request.text:
                self.mean = 0.8 * self.mean + 0.2 * job.seconds if self.mean else job.seconds
            # Whoever still wants something when all is done has had the time to say so.
            self._refused = max(0, self._refused - 1) if self.taken or self._waiting else 0

    def close(self) -> None:
        """Let nobody take a job any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self._closed

    def drain(self) -> None:
        """Refuse those who wait, because the server is being stopped."""
        for job in self.rest():
            job.give(StoppingError())

    def rest(self) -> list[Job]:
        """Return those who wait for nothing, for the line is closed."""
        with self._changed:
            rest = list(self._waiting)
            self._waiting.clear()
        return rest


class JobRunner(Protocol):
    """Something with threads that speak."""

    def submit(self, job: Job) -> None:
        """Take a job. :raises BusyError: too many are waiting."""
        ...

    def leave(self, job: Job) -> None:
        """Drop a job whose client has gone."""
        ...

    def withdraw(self, job: Job) -> bool:
        """Drop a job if it still waits; return whether it did."""
        ...


async def listen(speaker: JobRunner, request: SynthesisRequest, longest_wait: float) -> AsyncGenerator[Audio, None]:
    """Yield on an event loop what a thread speaks, or raise what it raised; closed early, the job is dropped.

    :param longest_wait: seconds that the job may wait for its turn.
    :raises BusyError: it has waited so long, or too many wait already.
    """
    loop = asyncio.get_running_loop()
    arrived: asyncio.Queue[Audio | BaseException | None] = asyncio.Queue()

    def give(item: Audio | BaseException | None) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            loop.call_soon_threadsafe(arrived.put_nowait, item)

    job = Job(request, give)

    def expire() -> None:
        if speaker.withdraw(job):
            arrived.put_nowait(BusyError(RETRY_SECONDS))

    speaker.submit(job)
    expiry = loop.call_later(longest_wait, expire)
    try:
        while (item := await arrived.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        expiry.cancel()
        speaker.leave(job)
