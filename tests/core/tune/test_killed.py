"""A study whose process is killed with -9 and started again equals a study that was never stopped."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from vtune.tune import Space, check_space, read_space
from vtune.tune.paths import StudyFolder
from vtune.tune.study import Study
from vtune.tune.trials import State, Trial

pytestmark = pytest.mark.slow

KILLER = """
import os, vtune
from transformers import TrainerCallback

class Killer(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        trial, step = os.environ.get("KILL_AT", "none 0").split()
        if f"/{trial}/" in args.output_dir and state.global_step == int(step):
            os.kill(os.getpid(), 9)

@vtune.hookimpl
def trainer_callbacks(recipe):
    return [Killer()]
"""

HERE = {"runs": "runs", "voices": "voices"}
"""Folders below the current folder, so that two studies of one recipe do not share files."""

SEARCH = ("train.learning_rate=1e-3..1:log", "lora.rank=2..8")


@pytest.fixture
def tuned(recipe: Callable[..., str], site: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run ``vtune tune`` as a user does, in a separate folder."""
    info = site / "killer-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: killer\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[vtune.plugins]\nkiller = killer_extension\n")
    (site / "killer_extension.py").write_text(KILLER)
    path = recipe(folders=HERE)

    def run(at: Path, kill_at: str = "none 0") -> subprocess.CompletedProcess[str]:
        at.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "vtune_cli", "tune", path, "--metric", "far", "--trials", "2"]
        command += [part for search in SEARCH for part in ("--search", search)]
        places = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
        env = {**os.environ, "PYTHONPATH": places, "OMP_NUM_THREADS": "1", "KILL_AT": kill_at}
        return subprocess.run(command, cwd=at, env=env, capture_output=True, text=True, timeout=1800, check=False)

    return run


def results(at: Path, space: Space) -> tuple[list[Trial], dict[str, torch.Tensor]]:
    folder = StudyFolder(at / "runs" / "someone" / "tuning" / "study")
    adapters: dict[str, Any] = {}
    for number in range(2):
        tensors = load_file(folder.voices(number) / "someone" / "adapter_model.safetensors")
        adapters |= {f"{number}.{name}": tensor for name, tensor in tensors.items()}
    assert not list(folder.path.glob("trial-*/checkpoints"))
    return Study(folder.database, space).trials, adapters


def test_a_killed_study_goes_on_as_if_nothing_had_been(
    tuned: Callable[..., subprocess.CompletedProcess[str]], recipe: Callable[..., str], tmp_path: Path
) -> None:
    """The process is killed in the second epoch of the second trial."""
    space = check_space(recipe(folders=HERE), [], read_space(SEARCH))
    straight = tuned(tmp_path / "straight")
    assert straight.returncode == 0, straight.stderr
    assert tuned(tmp_path / "killed", "trial-001 8").returncode == -9
    last = tuned(tmp_path / "killed")
    assert last.returncode == 0, last.stderr
    assert "trial 0 (" not in last.stderr
    expected, adapters = results(tmp_path / "straight", space)
    result, again = results(tmp_path / "killed", space)
    assert [trial.state for trial in result] == [State.DONE] * 2
    assert len(result[1].starts) == 2
    for trial, straight_trial in zip(result, expected, strict=True):
        assert (trial.values, trial.merit, trial.metrics) == (
            straight_trial.values, straight_trial.merit, straight_trial.metrics
        )  # fmt: skip
    assert again.keys() == adapters.keys()
    assert all(torch.equal(again[name], adapters[name]) for name in adapters)
    table, same = (run.stdout.splitlines() for run in (straight, last))
    assert [line.rsplit(maxsplit=1)[0] for line in table[:3]] == [line.rsplit(maxsplit=1)[0] for line in same[:3]]
