"""A function is stopped at its limit, and not because other programs use the machine."""

from __future__ import annotations

import os
import time

import pytest

from vtune.testing import time_limit
from vtune.testing.time_limit import TimeLimitReached, call_within, processes_for_a_core


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_limit, "POLL_SECONDS", 0.01)


def busy(monkeypatch: pytest.MonkeyPatch, processes: float) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (processes * (os.cpu_count() or 1), 0.0, 0.0), raising=False)


def wait(seconds: float) -> str:
    time.sleep(seconds)
    return "done"


def test_a_function_that_waits_too_long_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    busy(monkeypatch, 0.1)
    with pytest.raises(TimeLimitReached, match=r"not finished after 0\.05 s"):
        call_within(0.05, lambda: wait(1.0))


def test_it_may_wait_longer_on_a_machine_with_other_work(monkeypatch: pytest.MonkeyPatch) -> None:
    busy(monkeypatch, 20.0)
    assert call_within(0.05, lambda: wait(0.5)) == "done"


def test_a_function_that_computes_too_long_is_stopped_on_any_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    busy(monkeypatch, 20.0)
    if not hasattr(time, "pthread_getcpuclockid"):
        pytest.skip("this system does not tell how long a thread has computed")

    def compute() -> None:
        while True:
            pass

    with pytest.raises(TimeLimitReached):
        call_within(0.1, compute)


def test_a_system_that_does_not_tell_its_load_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "getloadavg", raising=False)
    assert processes_for_a_core() == 1.0
