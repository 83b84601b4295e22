"""Decide which base works for which request: each base has a queue of jobs, and workers take jobs from the queues."""

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
"""Seconds that a base in demand speaks at least before another base replaces it; or as long as it took to load."""


class Scheduler:
    """Holds a queue of jobs for each base, and as many workers as there may be bases in memory.

    Workers live as long as the scheduler, and each has one base at a time. A job waits in its queue until a worker with
    its base takes it or its client leaves; a job is not bound to a worker, so it never waits for one that is gone.

    A base that no worker has is loaded by a worker whose own base has no jobs; the least recently used base goes first.
    If every worker is busy, the worker that has had its base longest takes no further job after its tenure, finishes
    the jobs that it speaks, and changes its base. So bases in demand alternate, and each speaks at least as long as it
    takes to load.

    :param open_base: loads the base of a job; called on a worker's thread.
    """

    def __init__(self, open_base: Callable[[SynthesisRequest], SharedBase], settings: ServeSettings) -> None:
        self._settings = settings
        self.changed = threading.Condition()
        self._queues: dict[Hashable, JobQueue] = {}
        self._stopping = False
        self.closed = False
        self.workers = [Worker(self, open_base, settings.turns) for _ in range(settings.bases)]
        for worker in self.workers:
            worker.thread.start()

    def submit(self, job: Job, key: Hashable) -> None:
        """Queue a job for the base of a key.

        :raises BusyError: too many jobs wait for this base.
        :raises StoppingError: the server is being stopped.
        """
        with self.changed:
            if self._stopping:
                raise StoppingError
            loaded_keys = {worker.key for worker in self.workers}
            self._queues = {other: queue for other, queue in self._queues.items() if queue or other in loaded_keys}
            if key not in self._queues:
                self._queues[key] = JobQueue(self._settings.waiting, changed=self.changed)
            self._queues[key].add(job)

    def leave(self, job: Job) -> None:
        """Drop a job whose client is gone: at once if it waits, after the current piece if it speaks."""
        job.left.set()
        self.withdraw(job)

    def withdraw(self, job: Job) -> bool:
        """Drop a job if it still waits; return whether it was dropped."""
        with self.changed:
            return any(queue.remove(job) for queue in self._queues.values())

    def take(self, worker: Worker, *, wait: bool) -> Job | None:
        """Return the next job of a worker; ``worker.key`` says which base it takes.

        :param wait: wait until there is a job.
        :returns: None if there is no job now, or the scheduler is closed.
        """
        with self.changed:
            while not self.closed:
                key = self._next_key(worker)
                if key is not None:
                    if key != worker.key:
                        worker.key, worker.queue = key, self._queues[key]
                        worker.since, worker.tenure_seconds = math.inf, MIN_TENURE_SECONDS  # until it is loaded
                        self.changed.notify_all()  # another worker may now load a base that still waits
                    return self._queues[key].take(wait=False)
                if not wait:
                    return None
                self.changed.wait()
        return None

    def load(self) -> BackendLoad:
        """Return how busy the workers are."""
        with self.changed:
            return BackendLoad(
                sum(map(len, self._queues.values())),
                sum(worker.speaking for worker in self.workers),
                sum(worker.has_base for worker in self.workers),
                sum(worker.voices for worker in self.workers),
            )

    def drain(self) -> None:
        """Accept no further job, and refuse the jobs that wait, because the server is being stopped."""
        with self.changed:
            self._stopping = True
            for queue in self._queues.values():
                queue.drain()

    def close(self, seconds: float) -> None:
        """End the workers, each after its current piece; wait some seconds for that."""
        self.drain()
        with self.changed:
            self.closed = True
            self.changed.notify_all()
        end = time.monotonic() + seconds
        for worker in self.workers:
            worker.thread.join(max(0.0, end - time.monotonic()))

    def _next_key(self, worker: Worker) -> Hashable | None:
        """Return the key of the queue that a worker takes its next job from; None if it takes no job now."""
        loaded_keys = {loaded.key for loaded in self.workers}
        unloaded_keys = sorted(
            (key for key, queue in self._queues.items() if queue and key not in loaded_keys),
            key=lambda key: self._queues[key].since,
        )
        if self._in_demand(worker) and worker not in self._yielding(len(unloaded_keys)):
            return worker.key
        if worker.speaking or not unloaded_keys:
            return None
        free = [
            candidate for candidate in self.workers if not candidate.speaking and not self._in_demand(candidate)
        ] or [worker]
        best = min(free, key=lambda other: (other.key is not None, other.used))
        return unloaded_keys[0] if worker is best or self._in_demand(worker) else None

    def _in_demand(self, worker: Worker) -> bool:
        return worker.key in self._queues and bool(self._queues[worker.key])

    def _yielding(self, unloaded_keys: int) -> list[Worker]:
        """Return the workers that must make room for bases that no worker has."""
        now = time.monotonic()
        free = sum(not worker.speaking and not self._in_demand(worker) for worker in self.workers)
        settled = [worker for worker in self.workers if now - worker.since > worker.tenure_seconds]
        settled = [worker for worker in settled if worker.speaking or self._in_demand(worker)]
        return sorted(settled, key=lambda worker: worker.since)[: max(0, unloaded_keys - free)]
