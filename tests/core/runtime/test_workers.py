from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import vtune

# Two workers that write down who they are, and what becomes of them; the parent does what it is told.
PARENT = """
import os, pathlib, sys, time
from vtune.runtime import signals
from vtune.runtime.workers import WorkerPool

def work(folder):
    mark = pathlib.Path(folder, str(os.getpid()))
    mark.touch()
    try:
        time.sleep(60)
    except signals.Stopped:
        mark.write_text("stopped")
        raise

def idle(folder):
    pathlib.Path(folder, str(os.getpid())).touch()
    time.sleep(0.5)

if __name__ == "__main__":
    how, folder = sys.argv[1:]
    with signals.handled():
        try:
            with WorkerPool(2) as pool:
                waiting = [pool.submit(idle if how == "idle" else work, folder) for _ in range(2)]
                for future in waiting:
                    future.result()
                time.sleep(60)
        except signals.Stopped as stopped:
            print(stopped, flush=True)
"""


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    path = tmp_path / "parent.py"
    path.write_text(PARENT)
    (tmp_path / "workers").mkdir()
    return path


def started(parent: Path, how: str) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    folder = parent.with_name("workers")
    command = [sys.executable, str(parent), how, str(folder)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while len(list(folder.iterdir())) < 2:
        assert process.poll() is None
        time.sleep(0.02)
    return process, [psutil.Process(int(path.name)) for path in folder.iterdir()]


def test_workers_end_with_a_parent_that_is_killed(parent: Path) -> None:
    process, workers = started(parent, "work")
    process.kill()
    process.communicate()
    gone, _ = psutil.wait_procs(workers, timeout=10)
    assert len(gone) == 2


@pytest.mark.parametrize("how", ["work", "idle"])
def test_workers_stop_when_the_whole_group_is_told_to(parent: Path, how: str) -> None:
    """Workers that are busy stop at once, without a message; an idle worker ends as usual."""
    process, workers = started(parent, how)
    if how == "idle":
        time.sleep(1)
    os.killpg(process.pid, signal.SIGTERM)
    out, errors = process.communicate(timeout=20)
    assert (out, errors) == ("stopped after SIGTERM; no file was left unfinished\n", "")
    assert psutil.wait_procs(workers, timeout=5)[1] == []
    if how == "work":
        assert {path.read_text() for path in parent.with_name("workers").iterdir()} == {"stopped"}


def test_nobody_else_starts_processes() -> None:
    """Another kind of pool would leave orphans; `WorkerPool` prevents that."""
    folder = Path(vtune.__file__).parent
    starting = re.compile(
        r"ProcessPoolExecutor\(|multiprocessing\.(Process|Pool|get_context)|\bos\.(fork|exec\w+)\(|Popen\("
    )
    result = {
        str(path.relative_to(folder)) for path in folder.rglob("*.py") if starting.search(path.read_text("utf-8"))
    }
    others = {path for path in result if not path.startswith("serve/vllm/")}  # which sees to its vLLM itself
    # The second process of the conformance kit ends when its standard input does, so with its parent.
    assert others == {
        "runtime/workers.py",
        "runtime/reaper.py",  # runs vLLM, and ends when its standard input does
        "runtime/distributed/launch.py",
        "testing/second_process.py",
        "studio/jobs.py",  # the verbs, which stop at a safe point when the page ends or is killed
        "studio/choice_list.py",  # lists engines and ends
    }
