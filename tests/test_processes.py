"""What only separate processes can show: kill -9 and resuming, several ranks, the command line from end to end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from extensions import METRICS, extension
from forks import Forks
from safetensors.torch import load_file

pytestmark = pytest.mark.slow

KILLER = """
import os, vtune
from transformers import TrainerCallback

class Killer(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == int(os.environ["KILL_AT_STEP"]):
            os.kill(os.getpid(), 9)

@vtune.hookimpl
def trainer_callbacks(recipe):
    return [Killer()]
"""


@pytest.fixture
def killer(tmp_path: Path) -> str:
    """Return an extension that kills its process at a step."""
    return extension(tmp_path / "killer", "killer", KILLER)


EARS = "evaluate.metrics=[intelligibility, speaker]"
"""Scores with the metrics of the ears and no others."""


@pytest.fixture
def ears(tmp_path: Path) -> str:
    """Return an extension that scores every checkpoint."""
    return extension(tmp_path / "ears", "ears", METRICS)


@pytest.fixture
def recipe(tmp_path: Path, speech: Callable[..., Path]) -> Path:
    speech(count=16)
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "voice: someone\nengine: toy\ndata: [{source: speech}]\n"
        "lora: {dropout: 0.1}\n"
        "train: {epochs: 3, batch_size: 2, learning_rate: 1e-2, validation: 0, log_every: 1, save_every: 3}\n"
        "evaluate: {sentences: [hello], metrics: [delivery]}\n"
    )
    return path


def results(at: Path) -> tuple[dict[str, Any], list[float]]:
    (log,) = (at / "runs/someone/logs").glob("*/metrics.jsonl")
    rows = map(json.loads, log.read_text().splitlines())
    losses = [row[name] for row in rows for name in ("loss", "eval_quality") if name in row]
    return load_file(at / "voices/someone/adapter_model.safetensors"), losses


def same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return first.keys() == second.keys() and all(bool((first[name] == second[name]).all()) for name in first)


def test_a_killed_run_that_goes_on_is_the_run_that_was_never_stopped(
    forks: Forks, tmp_path: Path, recipe: Path, killer: str, ears: str
) -> None:
    """Three epochs of 8 steps, a checkpoint every 3: killed in epoch 0, at the epoch's boundary, and in epoch 1.

    Each checkpoint is heard, and the best of them becomes the voice.
    """
    steps = (5, 8, 13)
    places = {step: tmp_path / f"killed{step}" for step in (0, *steps)}
    outputs = {}
    for step, at in places.items():
        at.mkdir()
        if step:
            both = os.pathsep.join([ears, killer])
            code, _ = forks.run(at, "run", str(recipe), EARS, path=both, KILL_AT_STEP=str(step))
            assert code == -9
        code, outputs[step] = forks.run(at, "run", str(recipe), EARS, path=ears)
        assert code == 0, outputs[step]
    adapter, losses = results(places[0])
    assert len(losses) == 24 + 8
    for step in steps:
        checkpoint = f"runs/someone/checkpoints/{key(places[step])}/checkpoint-{step // 3 * 3}"
        assert f"resuming from {checkpoint}" in outputs[step]
        again, resumed = results(places[step])
        assert same(adapter, again), f"killed at step {step}"
        assert resumed == losses


def key(at: Path) -> str:
    (folder,) = (at / "runs/someone/checkpoints").iterdir()
    return folder.name


def test_two_processes_are_one_with_the_same_global_batch(forks: Forks, tmp_path: Path, recipe: Path) -> None:
    exact = ("train.precision=fp32", "lora.dropout=0")
    plain = {"one": ("train.batch_size=4", *exact), "two": ("train.batch_size=2", *exact)}
    outcomes = {}
    for name, overrides in plain.items():
        at = tmp_path / name
        at.mkdir()
        launch = ("--launch", "2") if name == "two" else ()
        code, output = forks.run(at, "run", str(recipe), *overrides, *launch)
        assert code == 0, output
        assert (at / "said.1").read_text().count("voices/someone") == 1
        outcomes[name] = results(at)
    assert outcomes["two"][1] == pytest.approx(outcomes["one"][1], abs=1e-5)
    for tensor, value in outcomes["one"][0].items():
        assert (value - outcomes["two"][0][tensor]).abs().max() < 1e-4


@pytest.mark.proof
def test_a_killed_launch_goes_on_too(forks: Forks, tmp_path: Path, recipe: Path, killer: str, ears: str) -> None:
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    for at in (straight, killed):
        at.mkdir()
    launched = ("run", str(recipe), EARS, "--launch", "2")
    code, output = forks.run(straight, *launched, path=ears)
    assert code == 0, output
    assert "The best checkpoint is chosen by quality" in output
    code, _ = forks.run(killed, *launched, path=os.pathsep.join([killer, ears]), KILL_AT_STEP="5")
    assert code != 0
    assert not (killed / "voices").exists()
    code, output = forks.run(killed, *launched, path=ears)
    assert code == 0, output
    assert same(results(straight)[0], results(killed)[0])
    assert results(straight)[1] == results(killed)[1]


def test_accelerate_launch_runs_two_ranks(tmp_path: Path, recipe: Path) -> None:
    command = [
        sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
        "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0",
        "-m", "vtune_cli", "run", str(recipe), "train.world_size=2", "train.max_steps=2",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    (facts,) = (tmp_path / "runs/someone/checkpoints").glob("*/final/training.json")
    assert json.loads(facts.read_text())["processes"] == 2


def test_a_launch_that_starts_one_process_fails_with_a_line(tmp_path: Path, recipe: Path) -> None:
    command = [
        sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines", "1",
        "--mixed_precision", "no", "--dynamo_backend", "no", "-m", "vtune_cli", "run", str(recipe),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=300, check=False)
    assert done.returncode != 0
    assert b"Error: 'accelerate launch' should start several processes, but it started one" in done.stderr


def test_a_voice_through_the_command_line(forks: Forks, tmp_path: Path, recipe: Path) -> None:
    fast = ["train.epochs=1", "train.learning_rate=0.1"]
    say = ["say", "someone", "hello there", "--seed", "4"]
    (tmp_path / "lines.txt").write_text("one line\n\nanother line\n")
    commands = {
        "train": ["train", str(recipe), *fast],
        "run": ["run", str(recipe), *fast],
        "voices": ["voices"],
        "file": [*say, "--out", "a.wav"],
        "raw": [*say, "--stream", "--raw"],
        "pipe": [*say, "--out", "-"],
        "base": [*say, "--base", "--out", "base.wav"],
        "lines": ["say", "someone", "--file", "lines.txt", "--out", "many"],
        "merge": ["merge", "someone", "whole"],
        "wrong": ["say", "somone", "hello"],
    }
    out, outputs = {}, {}
    for name, arguments in commands.items():
        code, outputs[name] = forks.run(tmp_path, *arguments)
        assert code == (name == "wrong"), outputs[name]
        out[name] = (tmp_path / "said.1").read_bytes()
    assert "trained" in out["train"].decode()
    assert "written" not in outputs["train"]
    assert "The training is already finished" in outputs["run"]
    assert out["run"] == b"voices/someone: try it with: vtune say someone 'Hello.' --out hello.wav\n"
    assert b"someone" in out["voices"]
    with wave.open(str(tmp_path / "a.wav")) as file:
        frames = file.readframes(file.getnframes())
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
    assert len(out["raw"]) == len(frames)
    assert out["pipe"][:4] == b"RIFF"
    assert b"synthetic speech, made with vtune; voice someone" in out["pipe"][:200]
    assert out["pipe"].endswith(out["raw"])
    assert (tmp_path / "base.wav").read_bytes() != (tmp_path / "a.wav").read_bytes()
    assert sorted(path.name for path in (tmp_path / "many").iterdir()) == ["001.wav", "002.wav"]
    assert out["merge"].decode().startswith("whole: one model; its logits differ from the voice's by at most ")
    assert outputs["wrong"] == "Error: no voice 'somone' in voices; did you mean 'someone'? (voices: someone)\n"
