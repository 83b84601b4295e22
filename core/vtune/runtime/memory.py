"""How much memory there is: of a device, and for this process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Limit:
    """A memory limit in bytes, and what sets it."""

    size: float
    whose: str


def memory_of(device: torch.device) -> float:
    """Return the memory of a device in bytes, in use or not."""
    import torch

    if device.type in ("cuda", "xpu"):
        return float(torch.get_device_module(device).mem_get_info(device)[1])
    return host_limit().size


def host_limit() -> Limit:
    """Return the lowest of three limits: the machine's memory, the control group's and ``ulimit -v``."""
    import psutil

    limits = [Limit(float(psutil.virtual_memory().total), "the machine"), *_control_groups(), *_address_space()]
    return min(limits, key=lambda limit: limit.size)


def _control_groups(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> Iterator[Limit]:
    """Yield the limits of this process's control groups and of their parents, for cgroup versions 1 and 2."""
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        folder, file = (root, "memory.max") if not controllers else (root / "memory", "memory.limit_in_bytes")
        group = folder / path.strip("/")
        # In a container the path may be the host's; then the limit is in the root folder.
        for directory in (group, *(parent for parent in group.parents if parent.is_relative_to(folder))):
            try:
                limit = (directory / file).read_text(encoding="utf-8").strip()
            except OSError:
                continue
            if limit.isdigit():
                yield Limit(float(limit), "the control group")


def _address_space() -> Iterator[Limit]:
    try:
        import resource
    except ImportError:  # Windows
        return
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY:
        yield Limit(float(limit), "ulimit -v")
