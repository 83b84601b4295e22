"""Start a run in several processes on this machine, and end all of them when one of them or this process dies."""

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
"""Seconds that the other ranks have to report their errors after one rank has failed."""

LEAVING_SECONDS = 300.0
"""Seconds that the other ranks have to end after one rank has ended without an error."""

POLL_SECONDS = 0.1


def launch(command: Sequence[str], processes: int) -> NoReturn:
    """Run ``vtune`` with ``command`` in several processes, and exit with their exit code.

    Exit codes: 1 if a rank failed (its error is printed once), ``EXIT_UNFINISHED`` after a stop signal to any of the
    processes, 128 + n if a rank was killed by signal n.

    :raises TrainingError: this process belongs to a launch already.
    """
    if "WORLD_SIZE" in os.environ:
        raise TrainingError(
            "a launcher has started this process already (WORLD_SIZE is set in the environment); leave out --launch"
        )
    sys.stdout.flush()
    with signals.deferred(), _started(command, processes) as launched:
        code, line = launched.supervise()
        if line is not None:
            print(line, file=sys.stderr, flush=True)
        raise SystemExit(code)


@dataclass
class _Rank:
    """One process of a launch.

    :param control: pipe to the rank: a byte is the number of a stop signal; the pipe closes when the launcher ends.
    :param ended: whether the launcher has killed the rank.
    """

    number: int
    process: subprocess.Popen[bytes]
    control: int
    ended: bool = False

    @property
    def code(self) -> int | None:
        """Exit code of the rank: negative if a signal killed the rank, None while it runs."""
        return self.process.poll()

    def end(self) -> None:
        """Kill the rank, even if it is suspended."""
        if self.code is None:
            self.ended = True
            self.process.kill()


@dataclass
class _Launched:
    """The processes of a launch.

    :param reports: pipe from the ranks: one line of JSON for each error, see ``vtune.runtime.distributed.ranks``.
    :param errors: the reports that were read.
    :param failed: the ranks that failed, in the order of their failures.
    """

    ranks: Sequence[_Rank]
    reports: int
    errors: list[dict[str, Any]] = field(default_factory=list)
    failed: list[_Rank] = field(default_factory=list)
    _unread: bytes = b""

    def supervise(self) -> tuple[int, str | None]:
        """Wait for every rank; return the exit code of the launch and the error lines to print, if any."""
        deadline, is_stopping = float("inf"), False
        while any(rank.code is None for rank in self.ranks):
            if not is_stopping and (signum := signals.requested()) is not None:
                is_stopping = True
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
            *lines, self._unread = (self._unread + data).split(b"\n")
            self.errors += [json.loads(line) for line in lines]
            seconds = 0.0

    def _note_failures(self) -> None:
        fine = {None, 0, signals.EXIT_UNFINISHED}
        if signals.requested() is not None:
            fine |= {-signum for signum in signals.STOP_SIGNALS}  # the rank had not installed its handlers yet
        for rank in self.ranks:
            if rank.code not in fine and not rank.ended and rank not in self.failed:
                self.failed.append(rank)

    def _outcome(self) -> tuple[int, str | None]:
        killed = next((rank for rank in self.failed if (rank.code or 0) < 0), None)
        errors = sorted(self.errors, key=lambda report: bool(report["lost"]))
        if killed is not None:
            return 128 - (killed.code or 0), self._killed(killed)
        if errors and (self.failed or any(rank.ended for rank in self.ranks)):
            text = errors[0]["error"]
            reporting_ranks = {report["rank"] for report in errors if report["error"] == text}
            if len(reporting_ranks) < len(self.ranks):
                text += f" (rank {min(reporting_ranks)} of {len(self.ranks)})"
            return 1, "\n".join(f"Error: {line}" for line in text.splitlines())
        if self.failed:
            first_failed = self.failed[0]
            return 1, (
                f"Error: {self._name(first_failed)} ended with exit code {first_failed.code}; its own messages are "
                "above. The other ranks were ended"
            )
        stuck = next((rank for rank in self.ranks if rank.ended), None)
        if stuck is not None:
            return 1, (
                f"Error: {self._name(stuck)} did not end within {LEAVING_SECONDS:g} seconds after another rank, and "
                "was killed; run the same command to resume"
            )
        signum = signals.requested()
        if signum is not None and self.ranks[0].code != signals.EXIT_UNFINISHED and any(r.code for r in self.ranks):
            return signals.EXIT_UNFINISHED, f"{signals.Stopped(signum)}; run the same command to resume"
        return max(rank.code or 0 for rank in self.ranks), None

    def _killed(self, rank: _Rank) -> str:
        name = signal.Signals(-(rank.code or 0)).name
        cause = ", most likely because memory ran out" if name == "SIGKILL" else ""
        return (
            f"Error: {self._name(rank)} was killed by {name}{cause}; the other ranks were ended. "
            "Run the same command to resume from the last checkpoint"
        )

    def _name(self, rank: _Rank) -> str:
        return f"rank {rank.number} of {len(self.ranks)} (process {rank.process.pid})"


@contextmanager
def _started(command: Sequence[str], processes: int) -> Iterator[_Launched]:
    """Start the ranks with the environment variables of torchrun; after the block no rank is running."""
    reports, report = os.pipe()
    common = {
        **os.environ,
        # Without this, `python -m` would import modules from the current folder, which may hold a stranger's files.
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
            control_reader, control = os.pipe()
            own = {"RANK": str(number), "LOCAL_RANK": str(number), LAUNCHER_VARIABLE: f"{control_reader},{report}"}
            process = subprocess.Popen(
                [sys.executable, "-m", "vtune_cli", *command],
                env={**common, **own},
                pass_fds=(control_reader, report),
            )
            os.close(control_reader)
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
