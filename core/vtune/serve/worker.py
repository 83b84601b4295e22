"""Run one base on a thread of its own, because a base speaks with one voice at a time."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Hashable
from typing import Protocol

from vtune.errors import VtuneError
from vtune.serve.backend import SynthesisRequest
from vtune.serve.failures import StoppingError, VoiceBrokenError
from vtune.serve.queue import Job, JobQueue
from vtune.serve.shared_base import SharedBase
from vtune.types import Audio

AudioPieces = Generator[Audio, None, None]


class JobSource(Protocol):
    """Where a worker gets its jobs: the ``Scheduler``."""

    changed: threading.Condition
    closed: bool

    def take(self, worker: Worker, *, wait: bool) -> Job | None:
        """Return the worker's next job, and set its ``key`` and ``queue`` to those of the job's base."""
        ...


class Worker:
    """Speaks for several requests in turn, a piece each. Start its ``thread``; it ends when the desk is closed.

    :param open_base: loads the base of a job.
    :param turns: jobs that are spoken in turn.
    """

    def __init__(self, desk: JobSource, open_base: Callable[[SynthesisRequest], SharedBase], turns: int) -> None:
        self._desk, self._open_base, self._turns = desk, open_base, turns
        self.key: Hashable | None = None
        """Key of the base that the worker has or is loading."""
        self.queue: JobQueue | None = None
        self.speaking = 0
        """Number of jobs that were taken and are not finished."""
        self.since = self.used = 0.0
        """Times at which the base was loaded, and at which a job was last finished."""
        self.tenure_seconds = 0.0
        """Seconds that the base speaks before another base in demand may replace it."""
        self._base: SharedBase | None = None
        self._base_key: Hashable | None = None
        self.thread = threading.Thread(target=self._run, name="vtune-speaks", daemon=True)

    @property
    def has_base(self) -> bool:
        """Whether a base is in memory."""
        return self._base is not None

    @property
    def voices(self) -> int:
        """Number of voices in memory."""
        base = self._base
        return 0 if base is None else len(base)

    def _run(self) -> None:
        speaking: deque[tuple[Job, AudioPieces]] = deque()
        while not self._desk.closed:
            while len(speaking) < self._turns and (job := self._next(wait=not speaking)) is not None:
                speaking.append((job, self._say(job.request)))
            if speaking:
                job, pieces = speaking.popleft()
                if self._step(job, pieces):
                    speaking.append((job, pieces))
                del job, pieces  # they hold much memory, and the next job may come much later
        for job, pieces in speaking:
            pieces.close()
            self._finish(job, well=False)
            job.give(StoppingError())
        self._base = None

    def _next(self, *, wait: bool) -> Job | None:
        with self._desk.changed:
            job = self._desk.take(self, wait=wait)
            self.speaking += job is not None
            return job

    def _step(self, job: Job, pieces: AudioPieces) -> bool:
        start, loading = time.monotonic(), not self._has_its_base
        piece: Audio | BaseException | None
        try:
            piece = None if job.left.is_set() else next(pieces, None)
        except BaseException as error:  # any error of an engine belongs to the request, and the thread goes on
            piece = error
        job.seconds += 0 if loading else time.monotonic() - start
        ended = piece is None or isinstance(piece, BaseException)
        if ended:
            pieces.close()
            self._finish(job, well=piece is None)
        job.give(piece)
        return not ended

    def _finish(self, job: Job, *, well: bool) -> None:
        assert self.queue is not None
        with self._desk.changed:
            self.speaking, self.used = self.speaking - 1, time.monotonic()
            self.queue.finish(job, well=well)
            self._desk.changed.notify_all()

    @property
    def _has_its_base(self) -> bool:
        return self._base is not None and self._base_key == self.key

    def _say(self, request: SynthesisRequest) -> AudioPieces:
        if not self._has_its_base:
            self._load(request)
        assert self._base is not None
        yield from self._base.say(request)

    def _load(self, request: SynthesisRequest) -> None:
        self._base = None  # before the next one is loaded: both would not fit into memory
        start = time.monotonic()
        try:
            self._base, self._base_key = self._open_base(request), self.key
        except VtuneError as error:
            raise VoiceBrokenError(str(error)) from error
        finally:
            now = time.monotonic()
            with self._desk.changed:
                self.since, self.tenure_seconds = now, max(self.tenure_seconds, now - start)
