"""Run verbs as processes, one after the other, and keep what they print; the queue survives the studio's end."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from vtune.errors import VtuneError
from vtune.runtime.paths import write_json
from vtune.runtime.reaper import PR_SET_PDEATHSIG, linux_prctl
from vtune.runtime.untrusted import FileRefused, read_json

State = Literal["waiting", "running", "done", "failed", "stopped"]
Lane = Literal["work", "quick", "server"]

LANES: dict[str, Lane] = {
    "doctor": "quick", "plan": "quick", "recipe": "quick", "say": "quick", "serve": "server",
}  # fmt: skip
"""What a verb may run beside. ``work`` (every other verb) and ``quick`` do one job at a time each, so that no two
trainings share the memory; a server does not end by itself, so it waits for nothing."""

EXIT_UNFINISHED = 75
"""Exit code of a verb that a signal has stopped, and that continues when it is run again."""

MAX_LOG_BYTES = 200_000
"""Bytes of a log that are sent at once, from its end."""

PROGRAM = [sys.executable, "-P", "-m", "vtune_cli"]
"""vtune's command. -P: nothing is imported from the folder, which may hold somebody else's files."""

_POLL_SECONDS = 0.2
_STOP_SECONDS = 30.0


@dataclass(slots=True)
class Job:
    """One command.

    :param words: the words behind ``vtune``.
    :param project: the voice that it is for.
    :param ok_codes: exit codes that mean that the command has done its work; ``doctor`` ends with 1 if it found errors.
    """

    number: int
    words: list[str]
    project: str
    ok_codes: list[int] = field(default_factory=lambda: [0])
    state: State = "waiting"
    code: int | None = None
    started: float | None = None
    ended: float | None = None

    @property
    def lane(self) -> Lane:
        """What the job may run beside."""
        return LANES.get(self.words[0], "work")

    @property
    def command(self) -> str:
        """The command for a terminal."""
        return f"vtune {shlex.join(self.words)}"


class JobQueue:
    """Runs jobs in the order in which they were added, those of each lane one after the other.

    :param folder: the folder in which the commands run.
    :param kept: the folder for logs and the list of jobs.
    """

    def __init__(self, folder: Path, kept: Path) -> None:
        self.folder, self.kept = folder, kept
        self.jobs: dict[int, Job] = {}
        self._lock = threading.RLock()
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._closing, self._ended = False, threading.Event()
        self._read()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def add(self, words: Sequence[str], project: str, ok_codes: Sequence[int] = (0,)) -> Job:
        """Add a command to the queue; one that waits or runs already is not added again."""
        with self._lock:
            same = (
                job for job in self.jobs.values() if job.words == list(words) and job.state in ("waiting", "running")
            )
            if (waiting := next(same, None)) is not None:
                return waiting
            job = Job(max(self.jobs, default=0) + 1, list(words), project, list(ok_codes))
            self.jobs[job.number] = job
            self._write()
            return job

    def find(self, number: int) -> Job:
        """Return a job. :raises VtuneError: there is no such job."""
        job = self.jobs.get(number)
        if job is None:
            raise VtuneError(f"there is no job {number}")
        return job

    def stop(self, number: int) -> None:
        """Ask a running job to stop at a safe point, as Ctrl-C does; a waiting job is taken out of the queue."""
        with self._lock:
            job = self.find(number)
            if job.state == "waiting":
                job.state, job.ended = "stopped", time.time()
                self._write()
            elif number in self._processes:
                self._processes[number].send_signal(signal.SIGINT)

    def again(self, number: int) -> Job:
        """Add the command of an ended job again: a run that was stopped continues where it was."""
        job = self.find(number)
        return self.add(job.words, job.project, job.ok_codes)

    def log(self, number: int) -> str:
        """Return the end of what a job has printed. Of a line that was drawn anew (a progress bar), the last state."""
        self.find(number)
        try:
            with self._log_path(number).open("rb") as file:
                file.seek(max(0, self._log_path(number).stat().st_size - MAX_LOG_BYTES))
                text = file.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""
        return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))

    def data(self) -> list[dict[str, Any]]:
        """Return every job as plain data, the newest first."""
        with self._lock:
            jobs = sorted(self.jobs.values(), key=lambda job: -job.number)
            return [{**asdict(job), "command": job.command, "lane": job.lane} for job in jobs]

    def close(self) -> None:
        """Stop every running job at a safe point, and end."""
        with self._lock:
            self._closing = True
            running = list(self._processes.values())
        for process in running:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
        until = time.monotonic() + _STOP_SECONDS
        for process in running:
            try:
                process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
        self._ended.set()  # not before: when the thread ends, its processes get a second signal
        self._thread.join(5)
        self._collect()

    def _work(self) -> None:
        while not self._ended.wait(_POLL_SECONDS):
            self._collect()
            with self._lock:
                for job in sorted(self.jobs.values(), key=lambda job: job.number):
                    if job.state == "waiting" and self._is_free(job.lane) and not self._closing:
                        self._start(job)

    def _is_free(self, lane: Lane) -> bool:
        return lane == "server" or all(self.jobs[number].lane != lane for number in self._processes)

    def _start(self, job: Job) -> None:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        prctl = linux_prctl()
        with self._log_path(job.number).open("wb") as log:
            self._processes[job.number] = subprocess.Popen(
                [*PROGRAM, *job.words], cwd=self.folder, env=environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                # If the studio is killed, its commands stop at a safe point (Linux). The thread that starts them lives
                # as long as the studio; on Windows there is no fork.
                preexec_fn=None if os.name == "nt" else lambda: prctl(PR_SET_PDEATHSIG, signal.SIGTERM),
            )  # fmt: skip
        job.state, job.started = "running", time.time()
        self._write()

    def _collect(self) -> None:
        with self._lock:
            for number, process in list(self._processes.items()):
                code = process.poll()
                if code is None:
                    continue
                del self._processes[number]
                job = self.jobs[number]
                job.code, job.ended, job.state = code, time.time(), _state_of(code, job)
                self._write()

    def _log_path(self, number: int) -> Path:
        return self.kept / f"job-{number}.log"

    def _read(self) -> None:
        self.kept.mkdir(parents=True, exist_ok=True)
        try:
            jobs = [Job(**entry) for entry in read_json(self.kept / "jobs.json")]
        except (OSError, FileRefused, TypeError):
            return
        for job in jobs:
            if job.state == "running":  # the studio was killed, and told its commands to stop
                job.state = "stopped"
            self.jobs[job.number] = job

    def _write(self) -> None:
        write_json(self.kept / "jobs.json", [asdict(job) for job in self.jobs.values()])


def _state_of(code: int, job: Job) -> State:
    if code in job.ok_codes:
        return "done"
    return "stopped" if code == EXIT_UNFINISHED or code < 0 else "failed"
