from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

import pytest

from vtune.runtime import signals
from vtune.runtime.signals import Stopped


def send(signum: int) -> None:
    os.kill(os.getpid(), signum)
    time.sleep(0.01)


def stops(work: Callable[[], None]) -> Stopped:
    with pytest.raises(Stopped) as stopped, signals.handled():
        work()
    return stopped.value


@pytest.mark.parametrize("signum", signals.STOP_SIGNALS)
def test_a_signal_stops_a_block_and_nothing_after_it(signum: signal.Signals) -> None:
    before = [signal.getsignal(each) for each in signals.STOP_SIGNALS]
    with pytest.raises(Stopped, match=f"^stopped after {signum.name}; no file was left unfinished$"), signals.handled():
        send(signum)
    assert signals.requested() is None
    assert [signal.getsignal(each) for each in signals.STOP_SIGNALS] == before


def test_what_must_be_whole_is_done_first() -> None:
    done = []

    def work() -> None:
        with signals.deferred():
            with signals.deferred():
                send(signal.SIGTERM)
            done.append("outer block")
        done.append("behind it")

    stops(work)
    assert done == ["outer block"]


def test_a_loop_that_defers_asks_where_it_may_stop() -> None:
    steps = []

    def work() -> None:
        with signals.deferred():
            for step in range(1, 10):
                steps.append(step)
                if step == 3:
                    send(signal.SIGUSR1)
                    assert signals.requested() == signal.SIGUSR1
                if step == 5:
                    signals.check()

    assert stops(work).signum == signal.SIGUSR1
    assert steps[-1] == 5


def test_an_error_in_what_must_be_whole_is_the_error() -> None:
    def work() -> None:
        with signals.deferred():
            send(signal.SIGTERM)
            raise ValueError("disk")

    with pytest.raises(ValueError, match="disk"), signals.handled():
        work()


def test_another_thread_passes_a_signal_on_and_wakes_the_main_thread() -> None:
    began = time.monotonic()

    def work() -> None:
        threading.Timer(0.1, signals.pass_on, [signal.SIGHUP]).start()
        threading.Event().wait(30)

    assert stops(work).signum == signal.SIGHUP
    assert time.monotonic() - began < 10


def test_what_is_passed_on_is_no_second_signal() -> None:
    def work() -> None:
        with signals.deferred():
            send(signal.SIGTERM)
            for _ in range(3):
                signals.pass_on(signal.SIGINT)
                time.sleep(0.01)

    assert stops(work).signum == signal.SIGTERM


def test_a_signal_that_the_parent_ignores_stays_ignored() -> None:
    """nohup starts a process with SIGHUP ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.handled():
            send(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_another_thread_handles_nothing() -> None:
    def run() -> None:
        with signals.handled(), signals.deferred():
            result.append(signal.getsignal(signal.SIGTERM))

    result: list[object] = []
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert result == [signal.getsignal(signal.SIGTERM)]
