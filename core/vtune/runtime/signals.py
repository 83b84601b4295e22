"""What stops a command from outside: the first signal stops it at the next safe point, a second one ends it at once."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

EXIT_UNFINISHED = 75
"""Exit code of a command that was stopped and should be run again (EX_TEMPFAIL of sysexits.h)."""

STOP_SIGNALS = tuple(
    signal.Signals[name] for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1") if name in signal.Signals.__members__
)

# Its default is to be ignored, so that one which comes late does no harm.
_PASSED_ON = signal.Signals.__members__.get("SIGURG")

# A terminal that closes sends SIGHUP twice, by the kernel and by its shell: that is one wish.
_HANGUP_SECONDS = 1.0
# torchrun passes on to its ranks what the whole process group has received as well.
_TORCHRUN_SECONDS = 5.0


class Stopped(BaseException):
    """Raised in the main thread to leave work that a signal has asked to stop; what is whole is kept.

    :param point: where, as in ``stopped{point} after SIGTERM``.
    :param kept: what the user finds.
    """

    def __init__(self, signum: int, point: str = "", kept: str = "nothing is half written") -> None:
        super().__init__(signum, point, kept)
        self.signum, self.point, self.kept = signum, point, kept

    def __str__(self) -> str:
        return f"stopped{self.point} after {signal.Signals(self.signum).name}; {self.kept}"


@dataclass
class _State:
    """What this process has been asked for.

    :param process: whose handlers are installed; a forked child has them too and leaves everything to its parent.
    :param deferred: depth of blocks in which nothing is raised.
    """

    process: int = 0
    signum: int | None = None
    since: float = 0.0
    deferred: int = 0
    passed_on: int = 0


_state = _State()


@contextmanager
def handled() -> Iterator[None]:
    """Let the first stop signal raise ``Stopped`` in this block; a second one ends the process at once.

    Signals that the parent has told this process to ignore (``nohup``) stay ignored. Does nothing outside the main
    thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = {each: signal.getsignal(each) for each in (*STOP_SIGNALS, _PASSED_ON) if each is not None}
    _begin(0)
    for each in STOP_SIGNALS:
        if former[each] != signal.SIG_IGN:
            signal.signal(each, _receive)
    try:
        yield
    finally:
        for each, handler in former.items():
            signal.signal(each, handler or signal.SIG_DFL)
        _begin_nothing()


def leave_to_parent() -> None:
    """Ignore the stop signals in a worker process: its parent tells it, by ``pass_on``, when to stop.

    ``Stopped`` is raised inside ``raising`` blocks only.
    """
    _begin(1)
    for each in STOP_SIGNALS:
        signal.signal(each, signal.SIG_IGN)


@contextmanager
def deferred() -> Iterator[None]:
    """Let nothing be interrupted in this block: ``Stopped`` is raised at its end, or where it calls ``check``."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _state.deferred += 1
    try:
        yield
    finally:
        _state.deferred -= 1
    if not _state.deferred:
        check()


@contextmanager
def raising() -> Iterator[None]:
    """Let ``Stopped`` be raised anywhere in this block, inside a process that otherwise defers it."""
    _state.deferred -= 1
    try:
        check()
        yield
    finally:
        _state.deferred += 1


def requested() -> int | None:
    """Return the signal that asks this process to stop, None where there is none."""
    return _state.signum


def check() -> None:
    """Stop here if a signal asks for it. :raises Stopped: it does."""
    if _state.signum is not None:
        raise Stopped(_state.signum)


def pass_on(signum: int) -> None:
    """Ask the main thread to stop, from another thread; it never counts as a second signal."""
    if _state.process == os.getpid() and _PASSED_ON is not None:
        _state.passed_on = signum
        signal.pthread_kill(threading.main_thread().ident or 0, _PASSED_ON)


def end_by(signum: int) -> None:
    """End this process as one that the signal has killed: shells see 128 + its number."""
    signal.signal(signum, signal.SIG_DFL)
    os.kill(os.getpid(), signum)
    os._exit(128 + signum)  # the first process of a container is not killed by its own signals


def _begin(depth: int) -> None:
    global _state
    _state = _State(process=os.getpid(), deferred=depth)
    if _PASSED_ON is not None:
        signal.signal(_PASSED_ON, _receive_passed_on)


def _begin_nothing() -> None:
    global _state
    _state = _State()


def _receive(signum: int, frame: FrameType | None) -> Any:
    if _state.process != os.getpid():
        return
    if _state.signum is None:
        for each in STOP_SIGNALS:
            # The system ends the process then, even while it is deep inside a computation.
            if signal.getsignal(each) is _receive and not _patience_seconds(each):
                signal.signal(each, signal.SIG_DFL)
        _accept(signum)
    elif time.monotonic() - _state.since >= _patience_seconds(signum):
        end_by(signum)


def _receive_passed_on(signum: int, frame: FrameType | None) -> Any:
    if _state.process == os.getpid() and _state.signum is None and _state.passed_on:
        _accept(_state.passed_on)


def _accept(signum: int) -> None:
    _state.signum, _state.since = signum, time.monotonic()
    if not _state.deferred:
        raise Stopped(signum)


def _patience_seconds(signum: int) -> float:
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return _TORCHRUN_SECONDS
    return _HANGUP_SECONDS if signum == signal.Signals.__members__.get("SIGHUP") else 0.0
