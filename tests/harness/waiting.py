"""Wait until other processes and threads have done something."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psutil


def alive(process: int) -> bool:
    """Tell whether a process runs; a process that has ended and was not waited for does not run."""
    try:
        return bool(psutil.Process(process).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def until(true: Callable[[], Any], seconds: float = 60) -> None:
    """Wait until something is true. :raises AssertionError: the condition does not become true in time."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "never true"
        time.sleep(0.02)
