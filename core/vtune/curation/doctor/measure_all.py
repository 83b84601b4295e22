"""Measure all recordings of a source, each once, over several processes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import TypeVar

from vtune.curation.doctor.measure import Measures, measure
from vtune.curation.doctor.recordings import Listener
from vtune.errors import DataError, reason
from vtune.runtime.progress import track
from vtune.runtime.workers import WorkerPool

AT_A_TIME = 8
"""Recordings that a worker is given at once."""

FEW = 48
"""Recordings up to which starting a worker takes longer than it saves."""

AHEAD = 4
"""Parcels that wait for each worker."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one recording: measures, or the problem.

    :param digest: of its bytes.
    :param disguise: what the file is, where its ending says something else.
    """

    measures: Measures | None = None
    problem: str = ""
    digest: str = ""
    disguise: str | None = None


def gather(listener: Listener, names: Sequence[str], processes: int) -> Iterator[Result]:
    """Yield what became of each recording, in order, with a progress bar where somebody watches.

    :raises DataError: a worker was killed.
    """
    work = _Listening(listener)
    yield from track(spread(work, names, processes), "measuring", len(names), "recordings")


def spread(work: Callable[[T], R], things: Sequence[T], processes: int) -> Iterator[R]:
    """Do the same with each thing, and yield the answers in order; few are done here.

    :param work: can be pickled, as things and answers can.
    :raises DataError: a worker was killed.
    """
    processes = min(processes, -(-len(things) // FEW))
    if processes <= 1:
        yield from map(work, things)
        return
    waiting: deque[Future[list[R]]] = deque()
    try:
        with WorkerPool(processes) as pool:
            for start in range(0, len(things), AT_A_TIME):
                waiting.append(pool.submit(_several, work, things[start : start + AT_A_TIME]))
                if len(waiting) > AHEAD * processes:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
    except BrokenProcessPool as error:
        raise DataError(
            f"one of {processes} processes was killed, most likely for memory; run again with fewer --processes"
        ) from error


def _several(work: Callable[[T], R], things: Sequence[T]) -> list[R]:
    return [work(thing) for thing in things]


@dataclass(frozen=True, slots=True)
class _Listening:
    listener: Listener

    def __call__(self, name: str) -> Result:
        try:
            disguise = self.listener.disguise(name)
            with self.listener.opened(name) as sound:
                measures = measure(sound)
            return Result(measures, "", self.listener.digest(name), disguise)
        except DataError as error:
            return Result(problem=str(error))
        except OSError as error:
            return Result(problem=f"{name} cannot be read: {reason(error)}")
