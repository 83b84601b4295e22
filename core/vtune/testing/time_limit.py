"""Call a function under a time limit, however it hangs."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

WAITING_FACTOR = 4
"""How much longer than its limit a function may wait for a lock; as many times more as processes wait for a core."""

POLL_SECONDS = 0.5

GRACE_SECONDS = 1.0
"""Seconds that a stopped function has to end; a thread that is still inside a C function is left behind."""


class TimeIsUp(BaseException):
    """Raised inside a function whose time is up; not an ``Exception``, so that few functions catch it."""


class TimeLimitReached(Exception):
    """A function took longer than it may.

    :param frames: of the function when its time was up, the outermost first.
    """

    def __init__(self, seconds: float, frames: list[traceback.FrameSummary]) -> None:
        super().__init__(f"not finished after {seconds:g} s")
        self.seconds, self.frames = seconds, frames


@dataclass(eq=False)
class _Call(Generic[T]):
    function: Callable[[], T]
    results: list[T] = field(default_factory=list)
    error: BaseException | None = None
    clock: int | None = None

    def run(self) -> None:
        if hasattr(time, "pthread_getcpuclockid"):
            self.clock = time.pthread_getcpuclockid(threading.get_ident())
        try:
            self.results.append(self.function())
        except BaseException as error:  # whatever an engine raises is reported by the caller
            self.error = error

    @property
    def core_seconds(self) -> float:
        """Time that the function has computed; 0 where the system does not tell."""
        try:
            return 0.0 if self.clock is None else time.clock_gettime(self.clock)
        except OSError:  # the thread has ended
            return 0.0


def processes_for_a_core() -> float:
    """Return how many processes want each core of this machine, at least 1; 1 where the system does not tell."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return max(1.0, load / (os.cpu_count() or 1))


def call_within(seconds: float, function: Callable[[], T]) -> T:
    """Call a function in a thread and return its result.

    :param seconds: of one core, where the system tells; ``WAITING_FACTOR`` times as long by the clock, and
        longer on a machine that has other work.
    :raises TimeLimitReached: the call takes longer. The thread is stopped at its next line of Python; while it waits in
        a C function it goes on in the background, and does not keep the process alive.
    """
    call = _Call(function)
    thread = threading.Thread(target=call.run, name="rule", daemon=True)
    thread.start()
    started = time.monotonic()
    while thread.is_alive() and call.core_seconds < seconds:
        if time.monotonic() - started > WAITING_FACTOR * seconds * processes_for_a_core():
            break
        thread.join(min(POLL_SECONDS, seconds))
    if thread.is_alive() and thread.ident is not None:
        frame = sys._current_frames().get(thread.ident)
        frames = list(traceback.extract_stack(frame)) if frame is not None else []
        del frame
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(TimeIsUp))
        thread.join(GRACE_SECONDS)
        raise TimeLimitReached(seconds, frames)
    if call.error is not None:
        raise call.error
    return call.results[0]
