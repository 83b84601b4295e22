"""Start worker processes. Every pool of vtune is made here, so that no worker outlives the process that started it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from vtune.runtime import signals

P = ParamSpec("P")
T = TypeVar("T")


def cores_per_rank() -> int:
    """Return the number of worker processes that keep this machine busy, divided by its ranks."""
    return max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


class WorkerPool(ProcessPoolExecutor):
    """A pool of spawned processes that end when this process ends, even if it is killed.

    When the ``with`` block ends with an error or by a signal, tasks that no worker has begun are dropped, and each
    worker stops at its next safe point. Workers ignore the signals of a process group: their parent decides.

    :param prepare: called in each worker before anything else, with ``arguments``.
    """

    def __init__(self, processes: int, prepare: Callable[..., None] | None = None, *arguments: Any) -> None:
        # Workers are spawned, because forking a process that has started torch's threads can hang.
        context = multiprocessing.get_context("spawn")
        stop_pipe, self._stop = context.Pipe(duplex=False)
        super().__init__(processes, context, _start_worker, (stop_pipe, prepare, arguments))

    def submit(self, function: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> Future[T]:
        """Let a worker call a function; the function and its arguments must be picklable."""
        return super().submit(_run_task, partial(function, *arguments, **named))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._stop.close()  # which every worker sees
        self.shutdown(cancel_futures=kind is not None)
        self._stop.close()


def _start_worker(stop_pipe: Connection, prepare: Callable[..., None] | None, arguments: Sequence[Any]) -> None:
    signals.leave_to_parent()
    threading.Thread(target=_follow_parent, args=(stop_pipe,), name="parent", daemon=True).start()
    if prepare is not None:
        prepare(*arguments)


def _follow_parent(stop_pipe: Connection) -> None:
    """Stop when the parent process closes the pipe, and end when the parent is gone."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    if parent.sentinel not in wait([parent.sentinel, stop_pipe]):
        signals.pass_on(signal.SIGTERM)
        wait([parent.sentinel])
    os._exit(1)


def _run_task(task: Callable[[], T]) -> T:
    with signals.raising():
        return task()
