"""Pass requests from an event loop to threads that speak, through queues of limited length."""

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
"""Seconds after which a refused client may try again, at most."""
RETRY_SECONDS = 10
"""Seconds after which a client whose request waited too long may try again."""


class Job:
    """A request in a queue, with the function that receives its sound.

    :param give: called on the thread that speaks, with each piece of sound, then with None or the error.
    """

    def __init__(self, request: SynthesisRequest, give: Callable[[Audio | BaseException | None], None]) -> None:
        self.request, self.give = request, give
        self.arrived = time.monotonic()
        self.left = threading.Event()
        self.stop: Callable[[], None] = lambda: None
        """Ends the wait of the thread that speaks."""
        self.seconds = 0.0


class Preload:
    """Tracks voices that are loaded before the first request; used from several threads."""

    def __init__(self) -> None:
        self._loading: dict[str, None] = {}
        self._failed: dict[str, None] = {}

    def job(self, voice: RequestedVoice) -> Job:
        """Return a job that loads a voice and speaks nothing; errors are logged."""
        self._loading[voice.name] = None
        self._failed.pop(voice.name, None)

        def give(item: Audio | BaseException | None) -> None:
            if item is not None:
                self._failed[voice.name] = None
                logger.warning("voice %r cannot be loaded: %s", voice.name, item)
            self._loading.pop(voice.name, None)

        return Job(SynthesisRequest(voice, "", 0), give)

    def missing(self, loaded: int) -> list[str]:
        """Return what readiness still waits for, without naming a voice.

        A voice that cannot be loaded counts only while no voice is in memory, because then the base may be broken.

        :param loaded: number of voices in memory.
        """
        if self._loading:
            return ["voices are being loaded"]
        return ["no voice could be loaded; the log says why"] if self._failed and not loaded else []


class JobQueue:
    """Holds jobs that wait for a thread.

    :param max_jobs: jobs that may wait.
    :param threads: threads that take jobs.
    :param changed: condition to notify, for threads that take from several queues.
    """

    def __init__(self, max_jobs: int, threads: int = 1, changed: threading.Condition | None = None) -> None:
        self._max_jobs, self._threads = max_jobs, threads
        self._waiting: deque[Job] = deque()
        self._changed = changed or threading.Condition()
        self._closed = False
        self._refused = 0  # recently; these clients will try again
        self.mean = 0.0
        """Mean seconds of work for one job."""
        self.taken = 0
        """Number of jobs that were taken and are not finished."""

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def since(self) -> float:
        """Time at which the first waiting job arrived; infinity if no job waits."""
        return self._waiting[0].arrived if self._waiting else math.inf

    def add(self, job: Job) -> None:
        """Append a job. :raises BusyError: too many jobs wait; StoppingError: the queue is closed."""
        with self._changed:
            if self._closed:
                raise StoppingError
            if len(self._waiting) >= self._max_jobs:
                self._refused += 1
                seconds = self.mean * (len(self._waiting) / 2 + self._refused) / self._threads
                raise BusyError(max(1, min(MAX_RETRY_SECONDS, math.ceil(seconds))))
            self._waiting.append(job)
            self._changed.notify_all()

    def remove(self, job: Job) -> bool:
        """Remove a job if it still waits; return whether it was removed."""
        with self._changed:
            if job not in self._waiting:
                return False
            self._waiting.remove(job)
            return True

    def take(self, *, wait: bool) -> Job | None:
        """Return the next job; None if there is none, or the queue is closed."""
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._closed or not self._waiting:
                return None
            self.taken += 1
            return self._waiting.popleft()

    def finish(self, job: Job, *, well: bool) -> None:
        """Count a job as finished.

        :param well: whether the job ended without an error.
        """
        with self._changed:
            self.taken -= 1
            if well and job.request.text:
                self.mean = 0.8 * self.mean + 0.2 * job.seconds if self.mean else job.seconds
            # When no job is left, every refused client has had the time to try again.
            self._refused = max(0, self._refused - 1) if self.taken or self._waiting else 0

    def close(self) -> None:
        """Close the queue: no thread gets a further job."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Whether the queue is closed."""
        return self._closed

    def drain(self) -> None:
        """Refuse the waiting jobs, because the server is being stopped."""
        for job in self.rest():
            job.give(StoppingError())

    def rest(self) -> list[Job]:
        """Remove and return the waiting jobs."""
        with self._changed:
            rest = list(self._waiting)
            self._waiting.clear()
        return rest


class JobRunner(Protocol):
    """Something that runs jobs on threads."""

    def submit(self, job: Job) -> None:
        """Queue a job. :raises BusyError: too many jobs wait."""
        ...

    def leave(self, job: Job) -> None:
        """Drop a job whose client is gone."""
        ...

    def withdraw(self, job: Job) -> bool:
        """Drop a job if it still waits; return whether it was dropped."""
        ...


async def listen(speaker: JobRunner, request: SynthesisRequest, longest_wait: float) -> AsyncGenerator[Audio, None]:
    """Yield on an event loop the sound that a thread makes, or raise its error; closed early, it drops the job.

    :param longest_wait: seconds that the job may wait for its turn.
    :raises BusyError: the job waited longer, or too many jobs wait already.
    """
    loop = asyncio.get_running_loop()
    items: asyncio.Queue[Audio | BaseException | None] = asyncio.Queue()

    def give(item: Audio | BaseException | None) -> None:
        with suppress(RuntimeError):  # the loop is closed, so no client is left
            loop.call_soon_threadsafe(items.put_nowait, item)

    job = Job(request, give)

    def expire() -> None:
        if speaker.withdraw(job):
            items.put_nowait(BusyError(RETRY_SECONDS))

    speaker.submit(job)
    expiry = loop.call_later(longest_wait, expire)
    try:
        while (item := await items.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        expiry.cancel()
        speaker.leave(job)
