"""Steps that fail, crash or hang are results, and the steps behind them are still tried."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from vtune.machine import tries
from vtune.machine.disk_speed import PROBE_BYTES, measured_space

STEPS = """
import os, signal, sys, time
from vtune.machine import steps, tries

def crash():
    os.kill(os.getpid(), signal.SIGKILL)

def fail():
    raise RuntimeError("no kernel\\nfor this GPU")

steps.STEPS.update(good=lambda: {"answer": 42}, crash=crash, fail=fail, hang=lambda: time.sleep(60))
print("a library says hello")
tries.main(sys.argv[1:])
"""


@pytest.fixture
def faked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Let the other process have steps of the test."""
    started: list[list[str]] = []
    run = subprocess.run

    def replaced(command: list[str], **settings: Any) -> Any:
        names = command[3:]
        started.append(names)
        return run([sys.executable, "-c", STEPS, *names], **settings)

    monkeypatch.setattr(tries.subprocess, "run", replaced)
    return started


def test_a_crash_is_the_result_of_its_step_alone(faked: list[list[str]]) -> None:
    results = tries.try_in_another_process(["fail", "crash", "good"])

    assert results["good"].works
    assert results["good"].fact("answer") == 42
    assert results["fail"].problem == "RuntimeError: no kernel for this GPU"
    assert results["crash"].problem.startswith("the process ended with code -9")
    assert faked == [["fail", "crash", "good"], ["good"]]


def test_a_step_that_hangs_is_stopped(faked: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tries, "TRY_SECONDS", 8.0)

    results = tries.try_in_another_process(["hang", "good"])

    assert results["hang"].too_slow
    assert results["good"].too_slow
    assert len(faked) == 1


def test_the_disk_is_measured_in_the_nearest_folder_that_exists(tmp_path: Any) -> None:
    space = measured_space(tmp_path / "not" / "yet")

    assert space.free > 2 * PROBE_BYTES
    assert (space.write_speed or 0) > 0
    assert not list(tmp_path.iterdir())
