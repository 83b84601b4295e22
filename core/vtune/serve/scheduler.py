"""Which base works for whom: requests wait in one line for each base, and workers take them from there."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Hashable

from vtune.serve.backend import BackendLoad, SynthesisRequest
from vtune.serve.failures import StoppingError
from vtune.serve.queue import Job, JobQueue
from vtune.serve.settings import ServeSettings
from vtune.serve.shared_base import SharedBase
from vtune.serve.worker import Worker

MIN_TENURE_SECONDS = 2.0
"""A base that is in demand speaks this long, or as long as it took to load, before another one takes its place."""


class Scheduler:
    """Lines of jobs, one for each base, and as many workers as there may be bases in memory.

    Workers live as long as the scheduler, and each has one base at a time. A job waits in its line until a worker with
    its base takes it or its client leaves; no worker that it could be bound to ever goes away.

    A base that no worker has is loaded by a worker whose own base nobody needs; the one that was longest unused goes
    first. Where every worker is busy, the one that has had its base longest takes no further job after its tenure,
    finishes those that it speaks, and changes its base. So bases in demand alternate, and each speaks at least as long
    as it takes to load.

    :param open_base: loads the base of a job; called on a worker's thread.
    """

    def __init__(self, open_base: Callable[[SynthesisRequest], SharedBase], settings: ServeSettings) -> None:
        self._settings = settings
        self.changed = threading.Condition()
        self._lines: dict[Hashable, JobQueue] = {}
        self._stopping = False
        self.closed = False
        self.workers = [Worker(self, open_base, settings.turns) for _ in range(settings.bases)]
        for worker in self.workers:
            worker.thread.start()

    def submit(self, job: Job, key: Hashable) -> None:
        """Let a job wait for the base of a key.

        :raises BusyError: too many are waiting for it.
        :raises StoppingError: the server is being stopped.
        """
        with self.changed:
            if self._stopping:
                raise StoppingError
            held = {worker.key for worker in self.workers}
            self._lines = {other: queue for other, queue in self._lines.items() if queue or other in held}
            if key not in self._lines:
                self._lines[key] = JobQueue(self._settings.waiting, changed=self.changed)
            self._lines[key].add(job)

    def leave(self, job: Job) -> None:
        """Drop a job whose client has gone: at once if it waits, after the piece that is being made if it is spoken."""
        job.left.set()
        self.withdraw(job)

    def withdraw(self, job: Job) -> bool:
        """Drop a job if it still waits; return whether it did."""
        with self.changed:
            return any(queue.remove(job) for queue in self._lines.values())

    def take(self, worker: Worker, *, wait: bool) -> Job | None:
        """Return the next job of a worker; ``worker.key`` says which base it takes.

        :param wait: until there is one.
        :returns: None when there is none now, or the scheduler is closed.
        """
        with self.changed:
            while not self.closed:
                key = self._next_key(worker)
                if key is not None:
                    if key != worker.key:
                        worker.key, worker.queue = key, self._lines[key]
                        worker.since, worker.tenure_seconds = math.inf, MIN_TENURE_SECONDS  # until it is loaded
                        self.changed.notify_all()  # a base that still waits is another worker's now
                    return self._lines[key].take(wait=False)
                if not wait:
                    return None
                self.changed.wait()
        return None

    def load(self) -> BackendLoad:
        """Say how busy it is."""
        with self.changed:
            return BackendLoad(
                sum(map(len, self._lines.values())),
                sum(worker.speaking for worker in self.workers),
                sum(worker.has_base for worker in self.workers),
                sum(worker.voices for worker in self.workers),
            )

    def drain(self) -> None:
        """Take no further job, and refuse those that wait, because the server is being stopped."""
        with self.changed:
            self._stopping = True
            for queue in self._lines.values():
                queue.drain()

    def close(self, seconds: float) -> None:
        """End the workers, each after the piece that it is making; wait so many seconds for that."""
        self.drain()
        with self.changed:
            self.closed = True
            self.changed.notify_all()
        end = time.monotonic() + seconds
        for worker in self.workers:
            worker.thread.join(max(0.0, end - time.monotonic()))

    def _next_key(self, worker: Worker) -> Hashable | None:
        """Return the key of the line that a worker takes its next job from; None: it takes none now."""
        held = {other.key for other in self.workers}
        homeless = sorted(
            (key for key, queue in self._lines.items() if queue and key not in held),
            key=lambda key: self._lines[key].since,
        )
        if self._in_demand(worker) and worker not in self._yielding(len(homeless)):
            return worker.key
        if worker.speaking or not homeless:
            return None
        free = [other for other in self.workers if not other.speaking and not self._in_demand(other)] or [worker]
        best = min(free, key=lambda other: (other.key is not None, other.used))
        return homeless[0] if worker is best or self._in_demand(worker) else None

    def _in_demand(self, worker: Worker) -> bool:
        return worker.key in self._lines and bool(self._lines[worker.key])

    def _yielding(self, homeless: int) -> list[Worker]:
        """Return the workers that must make room for bases that no worker has."""
        now = time.monotonic()
        free = sum(not worker.speaking and not self._in_demand(worker) for worker in self.workers)
        settled = [worker for worker in self.workers if now - worker.since > worker.tenure_seconds]
        settled = [worker for worker in settled if worker.speaking or self._in_demand(worker)]
        return sorted(settled, key=lambda worker: worker.since)[: max(0, homeless - free)]
