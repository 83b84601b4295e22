"""Processes that end in the middle of their work, as after a kill, a power cut, or on a full disk."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CHANGES = frozenset({"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate"})
"""Python's audit events of everything that changes a folder; each event comes before its change."""


def killed_at(step: int, place: Path, work: Callable[[], object]) -> bool:
    """Do some work in a forked process that is killed before its change number ``step`` (from 0) below a place.

    :returns: whether it was killed; if not, the work has fewer changes.
    """
    child = os.fork()
    if child == 0:
        code = 3
        try:
            left = step

            def count(event: str, arguments: tuple[object, ...]) -> None:
                nonlocal left
                if event in CHANGES and _is_below(arguments, place):
                    if left == 0:
                        os.kill(os.getpid(), signal.SIGKILL)
                    left -= 1

            sys.addaudithook(count)
            work()
            code = 0
        except BaseException as error:
            print(f"the work failed: {error!r}", file=sys.stderr)
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, "the work failed"
    return False


def every_kill(place: Path, work: Callable[[], object], at_least: int = 1) -> Iterator[int]:
    """Yield after the work was killed before its first change, before its second change, and so on until it ends."""
    step = 0
    while killed_at(step, place, work):
        yield step
        step += 1
    assert step >= at_least, f"the work had {step} changes only"


@contextmanager
def file_limit(limit: int) -> Iterator[None]:
    """Let no file of this process grow beyond some bytes, as ``ulimit -f`` does."""
    import resource

    former, signalled = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, former[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)
        signal.signal(signal.SIGXFSZ, signalled)


@contextmanager
def small_disk(place: Path, kilobytes: int) -> Iterator[Path]:
    """Mount a file system of a given size; the test is skipped where mounting is not permitted."""
    import subprocess

    place.mkdir()
    mounting = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounting.returncode:
        pytest.skip("file systems cannot be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def full_disk(*_: object) -> int:
    """Replace a write of the operating system by an error of a full disk."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _is_below(arguments: tuple[object, ...], place: Path) -> bool:
    paths = (os.fsdecode(argument) for argument in arguments if isinstance(argument, str | bytes | os.PathLike))
    return any(path.startswith(str(place)) for path in paths)
