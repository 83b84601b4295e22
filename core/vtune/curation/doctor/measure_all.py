"""Measure all recordings of a source, each once, in several processes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import TypeVar

from vtune.curation.doctor.measure import Measures, measure
from vtune.curation.doctor.recording_openers import RecordingOpener
from vtune.errors import DataError, reason
from vtune.runtime.progress import track
from vtune.runtime.workers import WorkerPool

BATCH_ITEMS = 8
"""Recordings that a worker gets at once."""

MIN_ITEMS_PER_WORKER = 48
"""Recordings up to which starting a worker takes longer than the worker saves."""

QUEUED_BATCHES_PER_WORKER = 4
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


def measure_all(listener: RecordingOpener, names: Sequence[str], processes: int) -> Iterator[MeasureResult]:
    """Yield the result of each recording, in order, with a progress bar in a terminal.

    :raises DataError: a worker process was killed.
    """
    work = _MeasureByName(listener)
    yield from track(map_in_processes(work, names, processes), "examining recordings", len(names), "recordings")


def map_in_processes(work: Callable[[Input], Output], inputs: Sequence[Input], processes: int) -> Iterator[Output]:
    """Call a function with each input in worker processes, and yield the outputs in order.

    A short list is processed without workers.

    :param work: the function; the function, its inputs and its outputs can be pickled.
    :raises DataError: a worker process was killed.
    """
    processes = min(processes, -(-len(inputs) // MIN_ITEMS_PER_WORKER))
    if processes <= 1:
        yield from map(work, inputs)
        return
    queue: deque[Future[list[Output]]] = deque()
    try:
        with WorkerPool(processes) as pool:
            for start in range(0, len(inputs), BATCH_ITEMS):
                queue.append(pool.submit(_map_batch, work, inputs[start : start + BATCH_ITEMS]))
                if len(queue) > QUEUED_BATCHES_PER_WORKER * processes:
                    yield from queue.popleft().result()
            while queue:
                yield from queue.popleft().result()
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
