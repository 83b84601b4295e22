"""Run vLLM on this machine below a reaper process, which ends vLLM with all processes that it started."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

from vtune.errors import VtuneError
from vtune.runtime import reaper

TERM_SECONDS = 20.0
"""Seconds for vLLM to end by itself after SIGTERM; systemd's TimeoutStopSec must be longer than this and the drain."""
KILL_SECONDS = reaper.KILL_SECONDS + 2


class VllmProcess:
    """Runs a command whose processes end when this process ends, in whatever way.

    :raises VtuneError: the program of the command does not exist.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], term_seconds: float = TERM_SECONDS
    ) -> None:
        program = shutil.which(command[0])
        if program is None:
            raise VtuneError(
                f"{command[0]}: there is no such program; install vLLM into an environment of its own and name its "
                "program in the settings (vllm: {command: ...}), or name a server that runs: --backend http://..."
            )
        self._term_seconds = term_seconds
        # A session of its own: Ctrl-C is for vtune, which then ends this one.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", reaper.__file__, str(term_seconds), program, *command[1:]],
            env=dict(environment), stdin=subprocess.PIPE, stdout=sys.stderr, start_new_session=True,
        )  # fmt: skip

    @property
    def code(self) -> int | None:
        """Exit code, 128 + N after signal N; None while the process runs."""
        return self._process.poll()

    def close(self) -> None:
        """End the command, and wait until all of its processes have ended."""
        self._send(reaper.TERM)
        self._wait(self._term_seconds + KILL_SECONDS)

    def kill(self) -> None:
        """Kill the command and its processes at once."""
        self._send(reaper.KILL)
        self._wait(KILL_SECONDS)

    def _send(self, signal_byte: bytes) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):  # the reaper has ended
            os.write(self._process.stdin.fileno(), signal_byte)

    def _wait(self, seconds: float) -> None:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        if self.code is not None and self._process.returncode >= 0:
            return
        with suppress(ProcessLookupError):  # the reaper itself was killed, or does not end
            os.killpg(self._process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(KILL_SECONDS)
