"""Commands that are stopped, killed or frozen from outside: what they print, what they leave, and which
processes end.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from forks import Forks
from waiting import alive

pytestmark = pytest.mark.slow

# The toy engine; it sends signals at the place that AT names, and sleeps there if it shall.
ENGINE = """
import os, signal, time
import torch
import vtune, vtune_toy
from transformers import TrainerCallback
from vtune_toy import *

counts = {}

def at(place):
    counts[place] = counts.get(place, 0) + 1
    is_here = os.environ.get("AT", "") == f"{place} {counts[place]}"
    if not is_here or os.environ.get("AT_RANK", "0") != os.environ.get("RANK", "0"):
        return
    with open("here", "w") as file:
        file.write(str(os.getpid()))
    number = getattr(signal, os.environ["SIGNAL"])
    for _ in range(int(os.environ.get("TIMES", "1"))):
        target = os.environ.get("TARGET", "self")
        if target == "group":
            os.killpg(0, number)
        else:
            os.kill(os.getppid() if target == "parent" else os.getpid(), number)
        time.sleep(float(os.environ.get("SECONDS", "0.05")))

class Steps(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        counts["step"] = state.global_step - 1
        at("step")

@vtune.hookimpl
def trainer_callbacks(recipe):
    return [Steps()]

@vtune.hookimpl
def prepare_sample(base, clip):
    at("clip")
    return vtune_toy.prepare_sample(base, clip)

@vtune.hookimpl
def synthesize(base, model, text, conditioning, seed, sampling):
    at("sentence")
    return vtune_toy.synthesize(base, model, text, conditioning, seed, sampling)
"""


@pytest.fixture
def recipe(tmp_path: Path, speech: Callable[..., Path]) -> Path:
    """Three epochs of 8 steps, a checkpoint every 3 of which two are kept, the loss in means of 4 steps."""
    speech(count=16)
    (tmp_path / "engine.py").write_text(ENGINE)
    path = tmp_path / "recipe.yaml"
    path.write_text(
        f"voice: someone\nengine: {tmp_path}/engine.py\ndata: [{{source: {tmp_path}/speech}}]\n"
        "lora: {dropout: 0.1}\n"
        "train: {epochs: 3, batch_size: 2, learning_rate: 1e-2, validation: 0.125, log_every: 4, "
        "save_every: 3, save_limit: 2}\n"
        "evaluate: {sentences: [hello], metrics: []}\n"
    )
    return path


def outcome(at: Path) -> dict[str, Any]:
    """Return what two equal runs must both leave."""
    (training,) = (at / "runs/someone/checkpoints").iterdir()
    facts = json.loads((training / "final/training.json").read_text())
    (log,) = (at / "runs/someone/logs").glob("*/metrics.jsonl")
    timed = ("per_second", "seconds", "runtime")
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    return {
        "adapter": (at / "voices/someone/adapter_model.safetensors").read_bytes(),
        "checkpoints": sorted(path.name for path in training.iterdir()),
        "facts": {name: value for name, value in facts.items() if name != "seconds"},
        "metrics": [{name: value for name, value in row.items() if not name.endswith(timed)} for row in rows],
    }


def folder(path: Path) -> Path:
    path.mkdir()
    return path


STOPS = [
    ("clip 5", "SIGTERM", "stopped after SIGTERM; no file was left unfinished"),
    ("step 5", "SIGTERM", "stopped at step 5 of 21 after SIGTERM; the checkpoint is complete"),
    ("step 7", "SIGINT", "stopped at step 7 of 21 after SIGINT; the checkpoint is complete"),
    ("step 13", "SIGHUP", "stopped at step 13 of 21 after SIGHUP; the checkpoint is complete"),
    ("step 15", "SIGUSR1", "stopped at step 15 of 21 after SIGUSR1; the checkpoint is complete"),
    ("sentence 1", "SIGINT", "stopped after SIGINT; no file was left unfinished"),
]


def test_a_run_that_signals_stop_is_the_run_that_was_never_stopped(forks: Forks, tmp_path: Path, recipe: Path) -> None:
    """The signal comes while the run encodes; in an epoch of 7 steps, at its end, and where a checkpoint is due; and
    while it speaks.
    """
    straight, stopped = folder(tmp_path / "straight"), folder(tmp_path / "stopped")
    assert forks.run(straight, "run", str(recipe))[0] == 0
    for phase, name, line in STOPS:
        code, output = forks.run(stopped, "run", str(recipe), AT=phase, SIGNAL=name)
        assert (code, output.splitlines()[-1]) == (75, f"{line}; run the same command to resume")
        assert "Traceback" not in output
        assert [path.name for path in (stopped / "voices").glob("*")] == []
        if phase == "step 5":
            assert "Features: 11 of 16 encoded in this run" in output
    code, output = forks.run(stopped, "run", str(recipe))
    assert code == 0, output
    assert outcome(stopped) == outcome(straight)
    # A short command leaves as Ctrl-C makes any command leave.
    engine = f"--engine-file={tmp_path}/engine.py"
    assert forks.run(stopped, "say", "someone", "hi", engine, AT="sentence 1", SIGNAL="SIGINT") == (-signal.SIGINT, "")
    assert not (stopped / "out.wav").exists()


def test_a_second_signal_ends_at_once(forks: Forks, tmp_path: Path, recipe: Path) -> None:
    twice = {"AT": "step 5", "TIMES": "2", "SECONDS": "0.2"}
    for name in ("SIGTERM", "SIGUSR1"):
        at = folder(tmp_path / name)
        code, output = forks.run(at, "run", str(recipe), SIGNAL=name, **twice)
        assert code == -getattr(signal, name), output
        assert "Traceback" not in output
        assert not list(at.glob("runs/someone/checkpoints/*/checkpoint-5"))


def test_a_terminal_that_closes_counts_once(forks: Forks, tmp_path: Path, recipe: Path) -> None:
    """The kernel and the shell both send SIGHUP."""
    code, output = forks.run(tmp_path, "run", str(recipe), AT="step 5", TIMES="2", SIGNAL="SIGHUP")
    assert (code, "stopped at step 5 of 21 after SIGHUP" in output) == (75, True)


LAUNCHED = [
    ("clip 2", "SIGUSR1", "self", "1", "stopped after SIGUSR1; no file was left unfinished"),
    ("step 5", "SIGTERM", "self", "1", "stopped at step 5 of 12 after SIGTERM; the checkpoint is complete"),
    ("step 7", "SIGHUP", "parent", "0", "stopped at step"),
    ("step 11", "SIGINT", "group", "0", "stopped at step 11 of 12 after SIGINT; the checkpoint is complete"),
    ("sentence 1", "SIGTERM", "parent", "0", "stopped after SIGTERM; no file was left unfinished"),
]


@pytest.mark.parametrize("stops", [LAUNCHED[1:2], pytest.param(LAUNCHED, marks=pytest.mark.proof)], ids=["one", "all"])
def test_ranks_stop_together_whoever_gets_the_signal(
    forks: Forks, tmp_path: Path, recipe: Path, stops: list[tuple[str, ...]]
) -> None:
    """The signal goes to one rank, to the launcher, or to the process group, where each rank gets it twice."""
    straight, stopped = folder(tmp_path / "straight"), folder(tmp_path / "stopped")
    launched = ("run", str(recipe), "--launch", "2")
    assert forks.run(straight, *launched)[0] == 0
    for phase, name, target, rank, line in stops:
        code, output = forks.run(stopped, *launched, AT=phase, SIGNAL=name, TARGET=target, AT_RANK=rank, SECONDS="0.5")
        assert code == 75, output
        assert "Traceback" not in output
        (message,) = [each for each in output.splitlines() if each.startswith("stopped")]
        assert message.startswith(line)
        assert message.endswith("run the same command to resume")
    code, output = forks.run(stopped, *launched)
    assert code == 0, output
    assert outcome(stopped) == outcome(straight)


DEATHS = [
    ("SIGKILL", 137, "rank 1 of 2 (process {}) was killed by SIGKILL, most likely because memory ran out; "),
    pytest.param("SIGSEGV", 139, "rank 1 of 2 (process {}) was killed by SIGSEGV; ", marks=pytest.mark.proof),
]


@pytest.mark.parametrize(("name", "expected", "line"), DEATHS)
def test_the_launch_says_which_rank_was_killed(
    forks: Forks, tmp_path: Path, recipe: Path, name: str, expected: int, line: str
) -> None:
    began = time.monotonic()
    code, output = forks.run(tmp_path, "run", str(recipe), "--launch", "2", AT="step 5", AT_RANK="1", SIGNAL=name)
    assert code == expected
    errors = [each for each in output.splitlines() if each.startswith("Error")]
    dead = (tmp_path / "here").read_text()
    ending = "the other ranks were ended. Run the same command to resume from the last checkpoint"
    assert errors == [f"Error: {line.format(dead)}{ending}"]
    assert "Traceback" not in output
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("place", ["step 5", pytest.param("clip 2", marks=pytest.mark.proof)])
def test_a_rank_that_freezes_is_noticed(forks: Forks, tmp_path: Path, recipe: Path, place: str) -> None:
    """The rank freezes in training, where the other waits inside torch, and while it encodes, where the other waits in
    Python.
    """
    frozen = {"AT": place, "AT_RANK": "1", "SIGNAL": "SIGSTOP", "VTUNE_RANK_TIMEOUT": "3"}
    code, output = forks.run(tmp_path, "run", str(recipe), "--launch", "2", **frozen)
    assert code == 1
    (error,) = [each for each in output.splitlines() if each.startswith("Error")]
    assert error.startswith("Error: rank 1 of 2 has not answered for 3 seconds")
    assert "Traceback" not in output
    assert not alive(int((tmp_path / "here").read_text()))


def test_ranks_end_with_their_launcher(forks: Forks, tmp_path: Path, recipe: Path) -> None:
    """One rank hangs, and the signal that it gets has no effect."""
    launcher = forks.start(
        tmp_path, "run", str(recipe), "--launch", "2", AT="step 5", AT_RANK="1", SIGNAL="SIGWINCH", SECONDS="60"
    )
    ranks = []
    while not (tmp_path / "here").is_file():
        assert alive(launcher)
        time.sleep(0.05)
    ranks = psutil.Process(launcher).children()
    assert len(ranks) == 2
    os.kill(launcher, signal.SIGKILL)
    assert forks.wait(launcher) == -signal.SIGKILL
    gone, _ = psutil.wait_procs(ranks, timeout=10)
    assert len(gone) == 2


def test_an_error_of_all_ranks_is_told_once(forks: Forks, tmp_path: Path, recipe: Path) -> None:
    code, output = forks.run(tmp_path, "run", str(recipe), "--launch", "2", "engine_options.max_frames=1")
    errors = [each for each in output.splitlines() if each.startswith("Error")]
    assert (code, len(errors)) == (1, 1), output
