"""Measure how much room a folder has, and how fast it is."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from vtune.errors import reason

PROBE_BYTES = 32 << 20
"""Enough for a speed that is not that of a cache alone, and little enough for a slow disk."""


@dataclass(frozen=True, slots=True)
class Space:
    """Room in a folder.

    :param free: bytes. :param write_speed: bytes a second with the data on the disk, None if it could not be written.
    """

    free: int
    write_speed: float | None
    problem: str = ""


def measured_space(folder: Path) -> Space:
    """Write a small file into a folder, or into the nearest folder above it that exists, and remove it."""
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < 2 * PROBE_BYTES:
        return Space(free, None)
    block = os.urandom(1 << 20)  # a disk that compresses would write zeros in no time
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            started = time.perf_counter()
            for _ in range(PROBE_BYTES // len(block)):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
            seconds = time.perf_counter() - started
    except OSError as problem:
        return Space(free, None, reason(problem))
    return Space(free, PROBE_BYTES / max(seconds, 1e-6))
