"""One base at work: a thread of its own, because a base speaks with one voice at a time."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Generator

from vtune.errors import VtuneError
from vtune.serve.backend import Wanted
from vtune.serve.failures import BrokenError, BusyError
from vtune.serve.shared import SharedBase
from vtune.types import Audio

LONGEST = 60
"""Seconds that somebody who is refused is told to wait."""

Speech = Generator[Audio, None, None]


class Job:
    """What one request wants, and where its sound goes.

    :param give: takes each piece, None at the end, or what went wrong; called on the worker's thread.
    """

    def __init__(self, wanted: Wanted, give: Callable[[Audio | BaseException | None], None]) -> None:
        self.wanted, self.give = wanted, give
        self.left = threading.Event()
        self.seconds = 0.0


class Worker:
    """Speaks for several requests in turn, a piece each; further ones wait.

    :param open_base: loads the base; called on the thread, when the first job comes.
    :param turns: jobs that are spoken in turn.
    :param waiting: jobs that may wait.
    :param after: a thread that must end before the base is loaded, for both would not fit into memory.
    """

    def __init__(
        self, open_base: Callable[[Wanted], SharedBase], turns: int, waiting: int, after: threading.Thread | None = None
    ) -> None:
        self._open_base, self._turns, self._most = open_base, turns, waiting
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._mean = 0.0  # seconds of work a job takes
        self._refused = 0  # of late; they will come again
        self._base: SharedBase | None = None
        self.speaking = 0
        self.thread = threading.Thread(target=self._run, args=(after,), name="vtune-speaks", daemon=True)
        self.thread.start()

    @property
    def waiting(self) -> int:
        """Jobs that wait."""
        return len(self._waiting)

    @property
    def voices(self) -> int:
        """Voices in memory."""
        return 0 if self._base is None else len(self._base)

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        with self._changed:
            return not self._waiting and not self.speaking

    def submit(self, job: Job) -> None:
        """Take a job. :raises BusyError: too many are waiting."""
        with self._changed:
            if len(self._waiting) >= self._most:
                self._refused += 1
                seconds = self._mean * (len(self._waiting) / 2 + self._refused)
                raise BusyError(max(1, min(LONGEST, math.ceil(seconds))))
            self._waiting.append(job)
            self._changed.notify()

    def leave(self, job: Job) -> None:
        """Drop a job whose client has gone: at once if it waits, after the piece that is being made if it speaks."""
        job.left.set()
        with self._changed:
            if job in self._waiting:
                self._waiting.remove(job)

    def close(self) -> None:
        """End the thread after the piece that is being made."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _run(self, after: threading.Thread | None) -> None:
        if after is not None:
            after.join()
        speaking: deque[tuple[Job, Speech]] = deque()
        while self._take(speaking):
            job, pieces = speaking.popleft()
            if self._step(job, pieces):
                speaking.append((job, pieces))
            self.speaking = len(speaking)
        for job in (*(job for job, _ in speaking), *self._waiting):
            job.give(BrokenError("the server is being stopped"))
        self._base = None

    def _take(self, speaking: deque[tuple[Job, Speech]]) -> bool:
        with self._changed:
            if not speaking and not self._waiting:
                self._refused = 0  # whoever still wants something has had the time to say so
            self._changed.wait_for(lambda: speaking or self._waiting or self._closed)
            while self._waiting and len(speaking) < self._turns:
                job = self._waiting.popleft()
                speaking.append((job, self._say(job.wanted)))
            self.speaking = len(speaking)
            return not self._closed

    def _step(self, job: Job, pieces: Speech) -> bool:
        start, loading = time.monotonic(), self._base is None
        try:
            piece = None if job.left.is_set() else next(pieces, None)
        except BaseException as error:  # whatever an engine raises is the request's, and the thread goes on
            job.give(error)
            return False
        job.seconds += 0 if loading else time.monotonic() - start
        job.give(piece)
        if piece is None:
            pieces.close()  # what it holds is large, and nobody waits for the next job to free it
            if job.wanted.text:
                self._mean = 0.8 * self._mean + 0.2 * job.seconds if self._mean else job.seconds
            self._refused = max(0, self._refused - 1)
        return piece is not None

    def _say(self, wanted: Wanted) -> Speech:
        if self._base is None:
            try:
                self._base = self._open_base(wanted)
            except VtuneError as error:
                raise BrokenError(str(error)) from error
        yield from self._base.say(wanted)
