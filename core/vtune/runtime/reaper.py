"""Run one command, and end it with every process that it has started when standard input ends.

``python reaper.py SECONDS COMMAND...``: the process that starts this one holds the other end of a pipe as standard
input. The pipe ends when it is closed, or when its holder dies, even by SIGKILL. The command then gets SIGTERM, and
after some seconds SIGKILL; all processes that it leaves behind are killed, in every session and group. The byte TERM in
the pipe does the same, the byte KILL does it at once. The exit code is the command's.

This module imports only the standard library, so that it starts at once and takes little memory.
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
        # Only the pipe ends this process. The signals are not ignored: the command would inherit that.
        signal.signal(number, lambda *_: None)
    prctl = linux_prctl()
    prctl(PR_SET_CHILD_SUBREAPER, 1)  # orphans become children of this process
    try:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, preexec_fn=lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        )
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return 127
    signal_byte = None
    while child.poll() is None and signal_byte is None:
        signal_byte = _read_pipe()
    if signal_byte != KILL and child.poll() is None:
        child.terminate()
    end = time.monotonic() + patience
    while child.poll() is None and signal_byte != KILL and time.monotonic() < end:
        if signal_byte == b"":  # the pipe has ended
            time.sleep(INTERVAL_SECONDS)
        else:
            next_byte = _read_pipe()
            signal_byte = signal_byte if next_byte is None else next_byte
    _kill_all(child)
    code = child.poll()
    return 128 + signal.SIGKILL if code is None else code if code >= 0 else 128 - code


def _read_pipe() -> bytes | None:
    """Wait a moment, and read one byte of the pipe, b"" at its end; None if there is nothing new."""
    ready, _, _ = select.select([0], [], [], INTERVAL_SECONDS)
    return os.read(0, 1) if ready else None


def _kill_all(child: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + KILL_SECONDS
    while time.monotonic() < end:
        if child.poll() is None:
            child.kill()
        descendants = _descendants()
        for pid in descendants:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            while child.poll() is not None and os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not descendants and child.poll() is not None:
            break
        time.sleep(INTERVAL_SECONDS / 5)
    if not Path("/proc/self/stat").exists():  # without /proc only the group is known, which includes this process
        os.killpg(0, signal.SIGKILL)


def _descendants() -> list[int]:
    """Return the processes below this one."""
    children = defaultdict(list)
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError, ValueError):
            # "PID (NAME) STATE PARENT ...", and a name may hold anything.
            parent = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[1]
            children[int(parent)].append(int(folder.name))
    descendants, generation = [], [os.getpid()]
    while generation:
        generation = [pid for parent in generation for pid in children[parent]]
        descendants += generation
    return descendants


def linux_prctl() -> Callable[[int, int], int]:
    """Return Linux's call ``prctl(option, value)``; on other systems a function that does nothing."""
    with suppress(OSError, AttributeError):
        call: Callable[[int, int], int] = ctypes.CDLL(None).prctl
        return call
    return lambda option, value: 0


if __name__ == "__main__":
    code = main(float(sys.argv[1]), sys.argv[2:])
    # Not by sys.exit: a process that could not be killed must not keep this one alive.
    sys.stderr.flush()
    os._exit(code)
