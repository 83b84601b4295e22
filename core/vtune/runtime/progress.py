"""Show the progress of a long step: a bar with the time left on a terminal, elsewhere a log line every half minute.

Every progress bar of vtune is made here, except that of the training.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TextIO, TypeVar, overload

from tqdm import tqdm

from vtune.runtime.distributed.ranks import is_main_process

T = TypeVar("T")
logger = logging.getLogger(__name__)

LINE_INTERVAL_SECONDS = 30.0
"""Seconds between two log lines where there is no terminal; a shorter step logs nothing."""


class ProgressBar:
    """Counts the finished items of one step and shows them; use it in a ``with`` statement.

    With 12 of 40 sentences done after two minutes the line is ``scoring: 12 of 40 sentences, about 5 minutes left``.

    :param task: name of the step, such as ``scoring``.
    :param total: number of items.
    :param unit: what the items are, in the plural: ``sentences``.
    :param visible: False shows nothing; nothing is shown either by ``vtune --quiet`` and outside the main process.
    """

    def __init__(
        self,
        task: str,
        total: int,
        unit: str,
        *,
        visible: bool = True,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._task, self._total, self._unit, self._clock = task, total, unit, clock
        self._visible = visible and is_main_process() and not _is_quiet()
        stream = stream or sys.stderr
        on_terminal = self._visible and stream.isatty()
        self._bar = (
            tqdm(total=total, desc=task, unit=f" {unit}", file=stream, leave=False, dynamic_ncols=True)
            if on_terminal
            else None
        )
        self._done = self._first_done = 0
        self._first_ended = self._last_line = clock()

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def advance(self, count: int = 1) -> None:
        """Count the items that were finished since the last call."""
        self._done += count
        if self._first_done == 0:
            self._first_done, self._first_ended = self._done, self._clock()
        if self._bar is not None:
            self._bar.update(count)
        elif self._visible and self._clock() - self._last_line >= LINE_INTERVAL_SECONDS:
            self._last_line = self._clock()
            logger.info("%s: %d of %d %s%s", self._task, self._done, self._total, self._unit, self._time_left())

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()

    def _time_left(self) -> str:
        # The first items are not counted: they may have waited for a network to load, or for code to be compiled.
        counted = self._done - self._first_done
        if not counted or self._done >= self._total:
            return ""
        seconds = (self._clock() - self._first_ended) / counted * (self._total - self._done)
        return f", about {duration(seconds)} left"


def track(items: Iterable[T], task: str, total: int, unit: str, *, visible: bool = True) -> Iterator[T]:
    """Yield items, and count each as finished when the loop asks for the next one; see ``ProgressBar``.

    ``for clip in track(clips, "listening", len(clips), "clips")``
    """
    with ProgressBar(task, total, unit, visible=visible) as bar:
        for item in items:
            yield item
            bar.advance()


class CountedSequence(Sequence[T]):
    """A sequence that counts its items in a bar during the first loop over it.

    It shows the progress of code that has no bar of its own, such as a metric of an extension.
    """

    def __init__(self, items: Sequence[T], bar: ProgressBar) -> None:
        self._items, self._bar, self._counted = items, bar, 0

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        return self._items[index]

    def __iter__(self) -> Iterator[T]:
        for number, item in enumerate(self._items, 1):
            yield item
            if number > self._counted:
                self._counted = number
                self._bar.advance()


@contextmanager
def logged_step(task: str) -> Iterator[None]:
    """Log the start of a step without parts to count, such as loading a network, and its duration if it was long."""
    started = time.monotonic()
    if is_main_process():
        logger.info("%s", task)
    yield
    seconds = time.monotonic() - started
    if is_main_process() and seconds >= LINE_INTERVAL_SECONDS:
        logger.info("%s: done after %s", task, duration(seconds))


def duration(seconds: float) -> str:
    """Return a duration in plain words: ``40 seconds``, ``3 minutes``, ``2 h 5 min``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} second{'s' if round(seconds) > 1 else ''}"
    minutes = round(seconds / 60)
    return f"{minutes} minutes" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _is_quiet() -> bool:
    """Tell whether ``--quiet`` is set; a program that never set up logging gets bars."""
    return logging.getLogger("vtune").level != logging.NOTSET and not logger.isEnabledFor(logging.INFO)
