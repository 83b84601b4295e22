"""Run one command, and end it with every process that it has started when standard input ends.

``python reaper.py SECONDS COMMAND...``: whoever starts this holds the other end of a pipe as standard input. The pipe
ends when it is closed, or when its holder dies, by SIGKILL as well. The command then gets SIGTERM, and after some
seconds SIGKILL; what it leaves behind is killed, in whatever session or group it is. The byte TERM in the pipe does the
same, KILL does it at once. The exit code is the command's.

It stands alone (only the standard library), so that it starts at once and takes no memory to speak of.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
TERM, KILL = b"t", b"k"
INTERVAL_SECONDS = 0.1
KILL_SECONDS = 5.0
"""Seconds in which killed processes must be gone; those that wait for a broken disk or driver cannot be killed."""


def main(patience: float, command: list[str]) -> int:
    """Run the command until it or standard input ends; return its exit code, 128 + N after signal N."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # the pipe alone ends this; to ignore them would be inherited
    prctl = _prctl()
    prctl(PR_SET_CHILD_SUBREAPER, 1)  # whatever loses its parent becomes a child of this process
    try:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, preexec_fn=lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        )
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return 127
    told = None
    while child.poll() is None and told is None:
        told = _told()
    if told != KILL and child.poll() is None:
        child.terminate()
    end = time.monotonic() + patience
    while child.poll() is None and told != KILL and time.monotonic() < end:
        if told == b"":  # nothing more will be told
            time.sleep(INTERVAL_SECONDS)
        else:
            more = _told()
            told = told if more is None else more
    _kill_all(child)
    code = child.poll()
    return 128 + signal.SIGKILL if code is None else code if code >= 0 else 128 - code


def _told() -> bytes | None:
    """Wait a moment, and return what stands in the pipe, b"" at its end; None if there is nothing new."""
    ready, _, _ = select.select([0], [], [], INTERVAL_SECONDS)
    return os.read(0, 1) if ready else None


def _kill_all(child: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + KILL_SECONDS
    while time.monotonic() < end:
        if child.poll() is None:
            child.kill()
        there = _descendants()
        for pid in there:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            while child.poll() is not None and os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not there and child.poll() is not None:
            break
        time.sleep(INTERVAL_SECONDS / 5)
    if not Path("/proc/self/stat").exists():  # nobody was found, and the group is all that is known; this one is in it
        os.killpg(0, signal.SIGKILL)


def _descendants() -> list[int]:
    """Return the processes below this one."""
    children = defaultdict(list)
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError, ValueError):
            # "PID (NAME) STATE PARENT ...", and a name may hold anything.
            parent = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[1]
            children[int(parent)].append(int(folder.name))
    found, new = [], [os.getpid()]
    while new:
        new = [pid for parent in new for pid in children[parent]]
        found += new
    return found


def _prctl() -> Callable[[int, int], int]:
    """Return Linux's call, or one that does nothing."""
    with suppress(OSError, AttributeError):
        call: Callable[[int, int], int] = ctypes.CDLL(None).prctl
        return call
    return lambda option, value: 0


if __name__ == "__main__":
    code = main(float(sys.argv[1]), sys.argv[2:])
    # Not by sys.exit: whatever could not be killed must not keep this process.
    sys.stderr.flush()
    os._exit(code)
