"""Run many commands as forks of one process that has imported everything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

# Importing torch and its kin takes most of a short run; it is done once, and each process of a run is a fork of that.
FORKS = '''
import gc, json, os, signal, sys
import vtune.runtime.distributed.launch, vtune.pipeline, vtune.tune, torch.distributed
from vtune_cli import main

gc.freeze()  # a collection in a fork would look through all that is imported, and copy its memory

CHANGES = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate"}

def signalled_at_a_change(folder):
    """Send SIGNAL before change number SIGNAL_AT_CHANGE (from 1) of this process in a folder; write down the number of
    changes."""
    last, number, seen = int(os.environ["SIGNAL_AT_CHANGE"]), os.environ["SIGNAL"], 0
    out = os.open(f"{folder}/said.changes", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def count(event, arguments):
        nonlocal seen
        if event not in CHANGES or not isinstance(arguments[0], (str, bytes, os.PathLike)):
            return
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        path = os.path.abspath(os.fsdecode(arguments[0]))
        if path.startswith(folder + os.sep):
            seen += 1
            os.pwrite(out, f"{seen:9}".encode(), 0)
            if seen == last:
                os.kill(os.getpid(), getattr(signal, number))

    sys.addaudithook(count)

def command(run):
    os.chdir(run["at"])
    os.environ.update(run["environment"])
    sys.path[:0] = run["path"]
    for stream in (1, 2):
        os.dup2(os.open(f"{run['at']}/{run['name']}.{stream}", os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    if "SIGNAL_AT_CHANGE" in os.environ:
        signalled_at_a_change(os.path.realpath(run["at"]))
    main(run["arguments"], prog_name="vtune")

def fork(call, *arguments):
    child = os.fork()
    if not child:
        code = 1
        try:
            call(*arguments)
            code = 0
        except SystemExit as left:
            code = left.code or 0
        except BaseException:
            import traceback
            traceback.print_exc()
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(code)
    return child

class Rank:
    """What subprocess.Popen is to a launch."""

    def __init__(self, command, env, pass_fds):
        self.returncode = None
        self.pid = fork(self._run, command[3:], env, pass_fds)

    def _run(self, arguments, env, kept):
        for fd in map(int, os.listdir("/proc/self/fd")):
            if fd > 2 and fd not in kept:
                try:
                    os.close(fd)
                except OSError:
                    pass
        os.environ.clear()
        os.environ.update(env)
        main(arguments, prog_name="vtune")

    def poll(self):
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self):
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode

    def kill(self):
        os.kill(self.pid, 9)

def started(run):
    os.setsid()  # a signal to its group shall reach nobody else
    vtune.runtime.distributed.launch.subprocess.Popen = Rank
    command(run)

for line in sys.stdin:
    asked = json.loads(line)
    if "wait" in asked:
        print(os.waitstatus_to_exitcode(os.waitpid(asked["wait"], 0)[1]), flush=True)
    else:
        print(fork(started, asked), flush=True)
'''


class Forks:
    """A process that has imported everything, and forks commands."""

    def __init__(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self._server = subprocess.Popen(
            [sys.executable, "-c", FORKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def _ask(self, what: dict[str, Any]) -> int:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(what) + "\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())

    def start(self, at: Path, *arguments: str, path: str = "", **environment: str) -> int:
        """Start a command; return its process. The files ``said.1`` and ``said.2`` have its output and its errors.

        :param path: folders that are added to the beginning of Python's path, separated as in ``PYTHONPATH``.
        """
        for stream in (1, 2):
            (at / f"said.{stream}").unlink(missing_ok=True)
        run = {"at": str(at), "name": "said", "arguments": arguments, "path": path.split(os.pathsep) if path else []}
        return self._ask({**run, "environment": environment})

    def wait(self, process: int) -> int:
        """Return the exit code of a process; negative if a signal killed it."""
        return self._ask({"wait": process})

    def run(self, at: Path, *arguments: str, path: str = "", **environment: str) -> tuple[int, str]:
        """Run a command; return its exit code and its standard error."""
        code = self.wait(self.start(at, *arguments, path=path, **environment))
        return code, (at / "said.2").read_text()

    def close(self) -> None:
        self._server.kill()
        self._server.wait(60)
