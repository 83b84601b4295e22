"""Handle stop signals: the first signal stops a command at the next safe point, a second one ends it at once."""

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
"""Exit code of a command that a signal stopped and that should be run again (EX_TEMPFAIL of sysexits.h)."""

STOP_SIGNALS = tuple(
    signal.Signals[name] for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1") if name in signal.Signals.__members__
)

# By default this signal is ignored, so one that arrives late does no harm.
_FORWARD_SIGNAL = signal.Signals.__members__.get("SIGURG")

# A terminal that closes sends SIGHUP twice, from the kernel and from its shell: both mean one stop.
_HANGUP_SECONDS = 1.0
# torchrun forwards to its ranks a signal that the whole process group has received already.
_TORCHRUN_SECONDS = 5.0


class Stopped(BaseException):
    """Raised in the main thread to stop work because of a signal; finished files are kept.

    :param point: where the work stopped, as in ``stopped{point} after SIGTERM``.
    :param kept: what the user finds afterwards.
    """

    def __init__(self, signum: int, point: str = "", kept: str = "no file was left unfinished") -> None:
        super().__init__(signum, point, kept)
        self.signum, self.point, self.kept = signum, point, kept

    def __str__(self) -> str:
        return f"stopped{self.point} after {signal.Signals(self.signum).name}; {self.kept}"


@dataclass
class _State:
    """The stop signals that this process has received.

    :param process: the process that installed the handlers; a forked child inherits them, but leaves signals to its
        parent.
    :param deferred: number of nested blocks in which ``Stopped`` is not raised.
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

    Signals that this process was started to ignore (``nohup``) stay ignored. Outside the main thread this block does
    nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous_handlers = {
        stop_signal: signal.getsignal(stop_signal)
        for stop_signal in (*STOP_SIGNALS, _FORWARD_SIGNAL)
        if stop_signal is not None
    }
    _reset_state(0)
    for stop_signal in STOP_SIGNALS:
        if previous_handlers[stop_signal] != signal.SIG_IGN:
            signal.signal(stop_signal, _receive)
    try:
        yield
    finally:
        for stop_signal, handler in previous_handlers.items():
            signal.signal(stop_signal, handler or signal.SIG_DFL)
        _clear_state()


def leave_to_parent() -> None:
    """Ignore the stop signals in a worker process, whose parent stops it by ``pass_on``.

    ``Stopped`` is raised inside ``raising`` blocks only.
    """
    _reset_state(1)
    for stop_signal in STOP_SIGNALS:
        signal.signal(stop_signal, signal.SIG_IGN)


@contextmanager
def deferred() -> Iterator[None]:
    """Defer ``Stopped`` in this block: it is raised at the end of the block, or where the block calls ``check``."""
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
    """Allow ``Stopped`` anywhere in this block, in a process that otherwise defers it."""
    _state.deferred -= 1
    try:
        check()
        yield
    finally:
        _state.deferred += 1


def requested() -> int | None:
    """Return the number of the stop signal that this process has received, or None."""
    return _state.signum


def check() -> None:
    """Raise ``Stopped`` if this process has received a stop signal. :raises Stopped: there was a stop signal."""
    if _state.signum is not None:
        raise Stopped(_state.signum)


def pass_on(signum: int) -> None:
    """Stop the main thread from another thread; this never counts as a second signal."""
    if _state.process == os.getpid() and _FORWARD_SIGNAL is not None:
        _state.passed_on = signum
        signal.pthread_kill(threading.main_thread().ident or 0, _FORWARD_SIGNAL)


def end_by(signum: int) -> None:
    """End this process by a signal, so that shells see the exit code 128 + ``signum``."""
    signal.signal(signum, signal.SIG_DFL)
    os.kill(os.getpid(), signum)
    os._exit(128 + signum)  # the first process of a container does not die from its own signals


def _reset_state(depth: int) -> None:
    global _state
    _state = _State(process=os.getpid(), deferred=depth)
    if _FORWARD_SIGNAL is not None:
        signal.signal(_FORWARD_SIGNAL, _receive_passed_on)


def _clear_state() -> None:
    global _state
    _state = _State()


def _receive(signum: int, frame: FrameType | None) -> Any:
    if _state.process != os.getpid():
        return
    if _state.signum is None:
        for stop_signal in STOP_SIGNALS:
            # The system then ends the process at the next signal, even in the middle of a long computation.
            if signal.getsignal(stop_signal) is _receive and not _patience_seconds(stop_signal):
                signal.signal(stop_signal, signal.SIG_DFL)
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
