"""Measure the memory of a process and of all processes that it started, on Linux."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAPPED_EVERY = 20
"""Mapped files are counted in every so many samples, because a process has a thousand mappings."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Memory at one moment, in bytes.

    :param anonymous: memory that is no mapped file.
    :param weights: pages of mapped files of the checkpoint, which are counted as resident too.
    """

    time: float
    resident: int
    anonymous: int
    weights: int

    @property
    def needed(self) -> int:
        """What the process needs: anonymous memory, and the weights that stay in their file."""
        return self.anonymous + self.weights


class Sampler:
    """Take samples of a process.

    :param base: the folder whose mapped files are counted as weights.
    """

    def __init__(self, pid: int, base: Path) -> None:
        self._pid, self._base = pid, f"{base.resolve()}/"
        self._taken = self._weights = 0

    def sample(self) -> Sample:
        """Return the memory of the process and of all that it started."""
        resident = anonymous = 0
        processes = list(family(self._pid))
        for process_id in processes:
            try:
                status = Path(f"/proc/{process_id}/status").read_text()
            except OSError:
                continue
            sizes = {key: int(value) * 1024 for key, value in re.findall(r"^(VmRSS|RssAnon):\s+(\d+) kB", status, re.M)}
            resident += sizes.get("VmRSS", 0)
            anonymous += sizes.get("RssAnon", 0)
        if self._taken % MAPPED_EVERY == 0:
            self._weights = sum(mapped_bytes(process_id, self._base) for process_id in processes)
        self._taken += 1
        return Sample(time.monotonic(), resident, anonymous, self._weights)


def mapped_bytes(process_id: int, folder: str) -> int:
    """Return the bytes in memory of the files below a folder that a process has mapped, changed pages left out."""
    try:
        lines = Path(f"/proc/{process_id}/smaps").read_text().splitlines()
    except OSError:
        return 0
    total, is_below, anonymous = 0, False, 0
    for line in lines:
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            is_below = folder in line
        elif is_below and line.startswith("Rss:"):
            total += int(line.split()[1]) * 1024
        elif is_below and line.startswith("Anonymous:"):
            anonymous += int(line.split()[1]) * 1024
    return total - anonymous


def family(pid: int) -> Iterator[int]:
    """Yield a process and all of its descendants."""
    yield pid
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = path.read_text().split()
        except OSError:
            continue
        for child in children:
            yield from family(int(child))
