"""The queue, with a small program in the place of vtune's command."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vtune.errors import VtuneError
from vtune.studio import jobs
from vtune.studio.jobs import Job, JobQueue

PROGRAM = """
import signal, sys, time
signal.signal(signal.SIGINT, lambda *_: sys.exit(75))
print("began", *sys.argv[1:], flush=True)
print("10 %\\r90 %\\rdone 100 %", flush=True)
if "wait" in sys.argv:
    time.sleep(60)
sys.exit(int(next((word.partition("=")[2] for word in sys.argv if word.startswith("code=")), 0)))
"""


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], JobQueue]]:
    """Open queues of one folder."""
    monkeypatch.setattr(jobs, "PROGRAM", [sys.executable, "-S", "-c", PROGRAM])
    opened: list[JobQueue] = []

    def open_queue() -> JobQueue:
        opened.append(JobQueue(tmp_path, tmp_path / ".studio"))
        return opened[-1]

    yield open_queue
    for one in opened:
        one.close()


def wait_for(condition: Callable[[], object], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_trainings_wait_for_each_other_and_quick_work_does_not(queue: Callable[[], JobQueue]) -> None:
    opened = queue()
    first, second = opened.add(["run", "a.yaml", "wait"], "a"), opened.add(["run", "b.yaml"], "b")
    quick = opened.add(["doctor", "x"], "a")
    wait_for(lambda: quick.state == "done" and "began" in opened.log(first.number))
    assert (first.state, second.state) == ("running", "waiting")
    opened.stop(first.number)
    wait_for(lambda: second.state == "done")
    assert (first.state, first.code) == ("stopped", 75)
    assert opened.again(first.number).words == first.words


def test_a_command_that_waits_is_not_added_twice(queue: Callable[[], JobQueue]) -> None:
    opened = queue()
    first = opened.add(["run", "a.yaml", "wait"], "a")
    assert opened.add(["run", "a.yaml", "wait"], "a") is first


def test_exit_codes_and_logs(queue: Callable[[], JobQueue]) -> None:
    opened = queue()
    failed, fine = opened.add(["plan", "code=1"], "a"), opened.add(["doctor", "code=1"], "a", (0, 1))
    wait_for(lambda: fine.state == "done" and failed.state == "failed")
    assert opened.log(failed.number).splitlines() == ["began plan code=1", "done 100 %"]
    with pytest.raises(VtuneError, match="there is no job 99"):
        opened.stop(99)


def test_the_queue_goes_on_when_the_studio_is_started_again(queue: Callable[[], JobQueue]) -> None:
    before = queue()
    running, waiting = before.add(["run", "a", "wait"], "a"), before.add(["run", "b"], "b")
    wait_for(lambda: "began" in before.log(running.number))
    before.close()
    assert (running.state, waiting.state) == ("stopped", "waiting")
    after = queue()
    wait_for(lambda: after.find(waiting.number).state == "done")
    assert after.find(running.number).state == "stopped"


STUDIO = """
import sys, time
from pathlib import Path
from vtune.studio import jobs
jobs.PROGRAM = [sys.executable, "-S", "-c", sys.argv[2]]
queue = jobs.JobQueue(Path(sys.argv[1]), Path(sys.argv[1], ".studio"))
queue.add(["run", "a", "wait"], "a")
time.sleep(300)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has died")
def test_commands_stop_at_a_safe_point_when_the_studio_is_killed(tmp_path: Path) -> None:
    program = PROGRAM.replace("SIGINT, lambda *_:", "SIGTERM, lambda *_: print('stopped safely', flush=True) or")
    studio = subprocess.Popen([sys.executable, "-c", STUDIO, str(tmp_path), program])
    log = tmp_path / ".studio" / "job-1.log"
    wait_for(lambda: log.exists() and "began" in log.read_text())
    studio.kill()
    studio.wait()
    wait_for(lambda: "stopped safely" in log.read_text())


def test_a_command_can_be_copied_to_a_terminal() -> None:
    assert Job(1, ["say", "jane", "It's me."], "jane").command == "vtune say jane 'It'\"'\"'s me.'"
