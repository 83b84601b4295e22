"""What only whole processes show: kill -9 and going on, several ranks, the command line from end to end."""

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


def vtune(*arguments: str, at: Path, check: bool = True, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command as a user does, in a folder of its own."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    command = [sys.executable, "-m", "vtune_cli", *arguments]
    done = subprocess.run(command, cwd=at, env=env, capture_output=True, timeout=300, check=False)
    if check:
        assert done.returncode == 0, done.stderr.decode()[-3000:]
    return done


@pytest.fixture
def killer(tmp_path: Path) -> str:
    """An extension, installed beside the others, that kills its process at a step."""
    folder = tmp_path / "killer"
    info = folder / "killer-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: killer\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[vtune.plugins]\nkiller = killer_extension\n")
    (folder / "killer_extension.py").write_text(KILLER)
    return str(folder)


@pytest.fixture
def recipe(tmp_path: Path, speech: Callable[..., Path]) -> Path:
    speech(count=16)
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "voice: someone\nengine: toy\ndata: [{source: speech}]\n"
        "lora: {dropout: 0.1}\n"
        "train: {epochs: 3, batch_size: 2, learning_rate: 1e-2, validation: 0, log_every: 1, save_every: 3}\n"
        "evaluate: {sentences: [hello]}\n"
    )
    return path


def results(at: Path) -> tuple[dict[str, Any], list[float]]:
    (log,) = (at / "runs/someone/logs").glob("*/metrics.jsonl")
    losses = [json.loads(line)["loss"] for line in log.read_text().splitlines()]
    return load_file(at / "voices/someone/adapter_model.safetensors"), losses


def same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return first.keys() == second.keys() and all(bool((first[name] == second[name]).all()) for name in first)


def test_a_killed_run_that_goes_on_is_the_run_that_was_never_stopped(tmp_path: Path, recipe: Path, killer: str) -> None:
    """Three epochs of 8 steps, a checkpoint every 3: killed in epoch 0, at the epoch's boundary, and in epoch 1."""
    straight = tmp_path / "straight"
    straight.mkdir()
    vtune("run", str(recipe), at=straight)
    adapter, losses = results(straight)
    assert len(losses) == 24
    for step in (5, 8, 13):
        at = tmp_path / f"killed{step}"
        at.mkdir()
        killed = vtune("run", str(recipe), at=at, check=False, PYTHONPATH=killer, KILL_AT_STEP=str(step))
        assert killed.returncode == -9
        assert not (at / "voices").exists()
        said = vtune("run", str(recipe), at=at).stderr.decode()
        assert f"going on from runs/someone/checkpoints/{key(at)}/checkpoint-{step // 3 * 3}" in said
        again, resumed = results(at)
        assert same(adapter, again), f"killed at step {step}"
        assert resumed == losses


def key(at: Path) -> str:
    (folder,) = (at / "runs/someone/checkpoints").iterdir()
    return folder.name


def test_two_processes_are_one_with_the_same_global_batch(tmp_path: Path, recipe: Path) -> None:
    plain = {"one": ("train.batch_size=4", "lora.dropout=0"), "two": ("train.batch_size=2", "lora.dropout=0")}
    outcomes = {}
    for name, overrides in plain.items():
        at = tmp_path / name
        at.mkdir()
        launch = ("--launch", "2") if name == "two" else ()
        done = vtune("run", str(recipe), *overrides, *launch, at=at)
        assert done.stdout.decode().count("voices/someone") == 1
        outcomes[name] = results(at)
    assert outcomes["two"][1] == pytest.approx(outcomes["one"][1], abs=1e-5)
    for tensor, value in outcomes["one"][0].items():
        assert (value - outcomes["two"][0][tensor]).abs().max() < 1e-4


def test_a_killed_launch_goes_on_too(tmp_path: Path, recipe: Path, killer: str) -> None:
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    for at in (straight, killed):
        at.mkdir()
    vtune("run", str(recipe), "--launch", "2", at=straight)
    vtune("run", str(recipe), "--launch", "2", at=killed, check=False, PYTHONPATH=killer, KILL_AT_STEP="5")
    assert not (killed / "voices").exists()
    vtune("run", str(recipe), "--launch", "2", at=killed)
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
    assert b"Error: 'accelerate launch' was asked for several processes and started one" in done.stderr


def test_a_voice_through_the_command_line(tmp_path: Path, recipe: Path) -> None:
    fast = ("train.epochs=1", "train.learning_rate=0.1")
    assert b"trained" in vtune("train", str(recipe), *fast, at=tmp_path).stdout
    assert not (tmp_path / "voices").exists()
    said = vtune("run", str(recipe), *fast, at=tmp_path)
    assert b"training: done before" in said.stderr
    assert said.stdout == b"voices/someone: vtune say someone 'Hello.' --out hello.wav\n"
    assert b"someone" in vtune("voices", at=tmp_path).stdout
    vtune("say", "someone", "hello there", "--out", "a.wav", "--seed", "4", at=tmp_path)
    with wave.open(str(tmp_path / "a.wav")) as file:
        frames = file.readframes(file.getnframes())
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
    raw = vtune("say", "someone", "hello there", "--stream", "--raw", "--seed", "4", at=tmp_path).stdout
    assert len(raw) == len(frames)
    piped = vtune("say", "someone", "hello there", "--out", "-", "--seed", "4", at=tmp_path).stdout
    assert piped[:4] == b"RIFF"
    assert piped[44:] == raw
    vtune("say", "someone", "hello there", "--base", "--out", "base.wav", "--seed", "4", at=tmp_path)
    assert (tmp_path / "base.wav").read_bytes() != (tmp_path / "a.wav").read_bytes()
    (tmp_path / "lines.txt").write_text("one line\n\nanother line\n")
    vtune("say", "someone", "--file", "lines.txt", "--out", "many", at=tmp_path)
    assert sorted(path.name for path in (tmp_path / "many").iterdir()) == ["001.wav", "002.wav"]
    assert b"merged" in vtune("merge", "someone", "whole", at=tmp_path).stdout
    wrong = vtune("say", "somone", "hello", at=tmp_path, check=False)
    assert wrong.returncode == 1
    assert b"did you mean 'someone'?" in wrong.stderr
    assert b"Traceback" not in wrong.stderr
