"""One base at work: a thread of its own, because a base speaks with one voice at a time."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator

from vtune.errors import VtuneError
from vtune.serve.backend import Wanted
from vtune.serve.failures import BrokenError
from vtune.serve.jobs import Job, Line
from vtune.serve.shared import SharedBase
from vtune.types import Audio

Speech = Generator[Audio, None, None]


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
        self._open_base, self._turns = open_base, turns
        self.line = Line(waiting)
        self._base: SharedBase | None = None
        self.thread = threading.Thread(target=self._run, args=(after,), name="vtune-speaks", daemon=True)
        self.thread.start()

    @property
    def voices(self) -> int:
        """Voices in memory."""
        return 0 if self._base is None else len(self._base)

    def submit(self, job: Job) -> None:
        """Take a job. :raises BusyError: too many are waiting."""
        self.line.add(job)

    def leave(self, job: Job) -> None:
        """Drop a job whose client has gone: at once if it waits, after the piece that is being made if it speaks."""
        job.left.set()
        self.line.remove(job)

    def close(self) -> None:
        """End the thread after the piece that is being made."""
        self.line.close()

    def _run(self, after: threading.Thread | None) -> None:
        if after is not None:
            after.join()
        speaking: deque[tuple[Job, Speech]] = deque()
        while not self.line.closed:
            while len(speaking) < self._turns and (taken := self.line.take(wait=not speaking)) is not None:
                speaking.append((taken, self._say(taken.wanted)))
            if speaking:
                job, pieces = speaking.popleft()
                if self._step(job, pieces):
                    speaking.append((job, pieces))
        for job in (*(job for job, _ in speaking), *self.line.rest()):
            job.give(BrokenError("the server is being stopped"))
        self._base = None

    def _step(self, job: Job, pieces: Speech) -> bool:
        start, loading = time.monotonic(), self._base is None
        try:
            piece = None if job.left.is_set() else next(pieces, None)
        except BaseException as error:  # whatever an engine raises is the request's, and the thread goes on
            self.line.finish(job, well=False)
            job.give(error)
            return False
        job.seconds += 0 if loading else time.monotonic() - start
        if piece is None:
            pieces.close()  # what it holds is large, and nobody waits for the next job to free it
            self.line.finish(job, well=True)
        job.give(piece)
        return piece is not None

    def _say(self, wanted: Wanted) -> Speech:
        if self._base is None:
            try:
                self._base = self._open_base(wanted)
            except VtuneError as error:
                raise BrokenError(str(error)) from error
        yield from self._base.say(wanted)
