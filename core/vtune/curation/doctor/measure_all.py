"""Measure all recordings of a source, each once, in several processes."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from vtune.curation.doctor.measure import Measures, measure
from vtune.curation.doctor.recording_openers import RecordingOpener
from vtune.errors import DataError, reason
from vtune.runtime.distributed.rank_pool import ALONE, RankPool
from vtune.runtime.progress import ProgressBar
from vtune.runtime.workers import WorkerPool

BATCH_ITEMS = 8
"""Recordings that a worker gets at once."""

MIN_ITEMS_PER_WORKER = 48
"""Recordings up to which starting a worker takes longer than the worker saves."""

QUEUED_BATCHES_PER_WORKER = 2
"""Batches that wait for each worker."""

Input = TypeVar("Input")
Output = TypeVar("Output")


@dataclass(frozen=True, slots=True)
class MeasureResult:
    """The result of measuring one recording: measures, or the problem.

    :param digest: hash of the file's bytes.
    :param disguise: kind of the file if its file extension is wrong, else None.
    """

    measures: Measures | None = None
    problem: str = ""
    digest: str = ""
    disguise: str | None = None


def measure_all(
    listener: RecordingOpener, names: Sequence[str], processes: int, pool: RankPool = ALONE
) -> list[MeasureResult]:
    """Return the result of each recording, in order, with a progress bar in a terminal.

    :param processes: recordings in parallel in each rank.
    :param pool: the ranks that measure; the main process calls this function inside ``pool.lead``.
    :raises DataError: a worker process was killed.
    """
    work = _MeasureByName(listener)
    processes = _useful_processes(processes, len(names) / pool.world_size)
    batches = [_Batch(start, names[start : start + BATCH_ITEMS]) for start in range(0, len(names), BATCH_ITEMS)]
    if pool.world_size > 1:
        batches.sort(key=lambda batch: -sum(map(_file_bytes, batch.items)))
    results: list[MeasureResult] = [MeasureResult(problem="")] * len(names)
    with ProgressBar("examining recordings", len(names), "recordings") as progress:
        for batch in pool.map(_MeasureShare(work, processes), batches):
            results[batch.start : batch.start + len(batch.items)] = batch.items
            progress.advance(len(batch.items))
    if pool.world_size > 1:
        # The main process has listed the recordings; a shared folder may show them to another rank later.
        results = [work(name) if result.problem else result for name, result in zip(names, results, strict=True)]
    return results


def _file_bytes(name: str) -> int:
    """Return the size of a recording; 0 if its name is not a path, as in data sets."""
    try:
        return os.path.getsize(name)
    except (OSError, ValueError):
        return 0


@dataclass(frozen=True, slots=True)
class _Batch:
    """Consecutive names of recordings, or their results; ``start`` is the number of the first."""

    start: int
    items: Sequence[Any]


@dataclass(frozen=True, slots=True)
class _MeasureShare:
    """Measures the recordings that one rank takes; see ``RankPool.map``."""

    work: _MeasureByName
    processes: int

    def __call__(self, batches: Iterator[_Batch], rank: int) -> Iterator[_Batch]:
        if self.processes <= 1:
            yield from map(self._measured, batches)
        else:
            yield from _map_in_workers(self._measured, batches, self.processes)

    def _measured(self, batch: _Batch) -> _Batch:
        return _Batch(batch.start, [self.work(name) for name in batch.items])


def map_in_processes(work: Callable[[Input], Output], inputs: Sequence[Input], processes: int) -> Iterator[Output]:
    """Call a function with each input in worker processes, and yield the outputs in order.

    A short list is processed without workers.

    :param work: the function; the function, its inputs and its outputs can be pickled.
    :raises DataError: a worker process was killed.
    """
    processes = _useful_processes(processes, len(inputs))
    if processes <= 1:
        yield from map(work, inputs)
        return
    batches = (inputs[start : start + BATCH_ITEMS] for start in range(0, len(inputs), BATCH_ITEMS))
    for outputs in _map_in_workers(partial(_map_batch, work), batches, processes):
        yield from outputs


def _useful_processes(processes: int, items: float) -> int:
    return min(processes, math.ceil(items / MIN_ITEMS_PER_WORKER))


def _map_in_workers(work: Callable[[Input], Output], inputs: Iterable[Input], processes: int) -> Iterator[Output]:
    queue: deque[Future[Output]] = deque()
    try:
        with WorkerPool(processes) as pool:
            for item in inputs:
                queue.append(pool.submit(work, item))
                if len(queue) > QUEUED_BATCHES_PER_WORKER * processes:
                    yield queue.popleft().result()
            while queue:
                yield queue.popleft().result()
    except BrokenProcessPool as error:
        raise DataError(
            f"one of {processes} processes was killed, most likely because memory ran out; "
            "run again with fewer --processes"
        ) from error


def _map_batch(work: Callable[[Input], Output], inputs: Sequence[Input]) -> list[Output]:
    return [work(item) for item in inputs]


@dataclass(frozen=True, slots=True)
class _MeasureByName:
    listener: RecordingOpener

    def __call__(self, name: str) -> MeasureResult:
        try:
            disguise = self.listener.disguise(name)
            with self.listener.opened(name) as sound:
                measures = measure(sound)
            return MeasureResult(measures, "", self.listener.digest(name), disguise)
        except DataError as error:
            return MeasureResult(problem=str(error))
        except OSError as error:
            return MeasureResult(problem=f"{name} cannot be read: {reason(error)}")
