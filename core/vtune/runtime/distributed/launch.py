"""Start a run in several processes on this machine, and end all of them when one dies or this process does."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NoReturn

from vtune.errors import TrainingError
from vtune.runtime import signals
from vtune.runtime.distributed.ranks import LAUNCHER_VARIABLE

GRACE_SECONDS = 2.0
"""Seconds that the other ranks have, after one has failed, to tell what they know of it."""

LEAVING_SECONDS = 300.0
"""Seconds that the other ranks have after one has ended without an error."""

POLL_SECONDS = 0.1


def launch(command: Sequence[str], processes: int) -> NoReturn:
    """Run ``vtune`` with ``command`` in several processes, and exit as they did.

    Exit codes: 1 where a rank failed, told once; ``EXIT_UNFINISHED`` after a signal, to whichever process; 128 + n
    where a rank was killed by signal n.

    :raises TrainingError: this process belongs to a launch already.
    """
    if "WORLD_SIZE" in os.environ:
        raise TrainingError("this process was started by a launcher already; leave --launch out")
    sys.stdout.flush()
    with signals.deferred(), _started(command, processes) as launched:
        code, line = launched.supervise()
        if line is not None:
            print(line, file=sys.stderr, flush=True)
        raise SystemExit(code)


@dataclass
class _Rank:
    """One process of a launch.

    :param control: a pipe to it: a byte is a signal that asks it to stop; its end is the end of this process.
    :param ended: that it was ended from here.
    """

    number: int
    process: subprocess.Popen[bytes]
    control: int
    ended: bool = False

    @property
    def code(self) -> int | None:
        """Its exit code, negative where a signal killed it, None while it runs."""
        return self.process.poll()

    def end(self) -> None:
        """Kill it, stopped or not."""
        if self.code is None:
            self.ended = True
            self.process.kill()


@dataclass
class _Launched:
    """The processes of a launch.

    :param reports: a pipe from them: a line for each error, see ``vtune.runtime.distributed.ranks.report``.
    :param failed: in the order in which they did.
    """

    ranks: Sequence[_Rank]
    reports: int
    told: list[dict[str, Any]] = field(default_factory=list)
    failed: list[_Rank] = field(default_factory=list)
    _rest: bytes = b""

    def supervise(self) -> tuple[int, str | None]:
        """Wait for every rank; returns the exit code of the launch, and what is to be said."""
        deadline, asked = float("inf"), False
        while any(rank.code is None for rank in self.ranks):
            if not asked and (signum := signals.requested()) is not None:
                asked = True
                for rank in self.ranks:
                    with suppress(OSError):
                        os.write(rank.control, bytes([signum]))
            self._read(POLL_SECONDS)
            self._note_failures()
            if any(rank.code is not None for rank in self.ranks):
                patience = GRACE_SECONDS if self.failed else LEAVING_SECONDS
                deadline = min(deadline, time.monotonic() + patience)
            if time.monotonic() >= deadline:
                for rank in self.ranks:
                    rank.end()
        self._read(0.0)
        self._note_failures()
        return self._outcome()

    def _read(self, seconds: float) -> None:
        while select.select([self.reports], [], [], seconds)[0]:
            data = os.read(self.reports, 1 << 16)
            if not data:
                return
            *lines, self._rest = (self._rest + data).split(b"\n")
            self.told += [json.loads(line) for line in lines]
            seconds = 0.0

    def _note_failures(self) -> None:
        fine = {None, 0, signals.EXIT_UNFINISHED}
        if signals.requested() is not None:
            fine |= {-signum for signum in signals.STOP_SIGNALS}  # it was not ready to stop more gently
        for rank in self.ranks:
            if rank.code not in fine and not rank.ended and rank not in self.failed:
                self.failed.append(rank)

    def _outcome(self) -> tuple[int, str | None]:
        killed = next((rank for rank in self.failed if (rank.code or 0) < 0), None)
        errors = sorted(self.told, key=lambda report: bool(report["lost"]))
        if killed is not None:
            return 128 - (killed.code or 0), self._killed(killed)
        if errors and (self.failed or any(rank.ended for rank in self.ranks)):
            text = errors[0]["error"]
            where = {report["rank"] for report in errors if report["error"] == text}
            if len(where) < len(self.ranks):
                text += f" (rank {min(where)} of {len(self.ranks)})"
            return 1, "\n".join(f"Error: {line}" for line in text.splitlines())
        if self.failed:
            first_failed = self.failed[0]
            return 1, (
                f"Error: {self._name(first_failed)} ended with exit code {first_failed.code}; what it said stands "
                "above. The other ranks were ended"
            )
        stuck = next((rank for rank in self.ranks if rank.ended), None)
        if stuck is not None:
            return 1, f"Error: {self._name(stuck)} did not end with the others, and was ended"
        signum = signals.requested()
        if signum is not None and self.ranks[0].code != signals.EXIT_UNFINISHED and any(r.code for r in self.ranks):
            return signals.EXIT_UNFINISHED, f"{signals.Stopped(signum)}; run the same command to resume"
        return max(rank.code or 0 for rank in self.ranks), None

    def _killed(self, rank: _Rank) -> str:
        name = signal.Signals(-(rank.code or 0)).name
        why = ", most likely because memory ran out" if name == "SIGKILL" else ""
        return (
            f"Error: {self._name(rank)} was killed by {name}{why}; the other ranks were ended. "
            "Run the same command to go on from the last checkpoint"
        )

    def _name(self, rank: _Rank) -> str:
        return f"rank {rank.number} of {len(self.ranks)} (process {rank.process.pid})"


@contextmanager
def _started(command: Sequence[str], processes: int) -> Iterator[_Launched]:
    """Start the ranks with what torchrun would tell them; when the block is left, none of them runs."""
    reports, report = os.pipe()
    common = {
        **os.environ,
        # Started with -m, Python would import modules from the current folder, which may be anybody's.
        "PYTHONSAFEPATH": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // processes)),
    }
    ranks: list[_Rank] = []
    try:
        for number in range(processes):
            told, control = os.pipe()
            place = {"RANK": str(number), "LOCAL_RANK": str(number), LAUNCHER_VARIABLE: f"{told},{report}"}
            process = subprocess.Popen(
                [sys.executable, "-m", "vtune_cli", *command], env={**common, **place}, pass_fds=(told, report)
            )
            os.close(told)
            ranks.append(_Rank(number, process, control))
        os.close(report)
        yield _Launched(ranks, reports)
    finally:
        for rank in ranks:
            rank.end()
            rank.process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
