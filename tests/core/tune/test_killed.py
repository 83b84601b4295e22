"""A study whose process is killed with -9 and started again equals a study that was never stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from forks import Forks
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
def tuned(forks: Forks, recipe: Callable[..., str], site: Path) -> Callable[..., tuple[int, str, list[str]]]:
    """Return a function that runs ``vtune tune`` in a separate folder: its exit code, its errors, its table."""
    info = site / "killer-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: killer\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[vtune.plugins]\nkiller = killer_extension\n")
    (site / "killer_extension.py").write_text(KILLER)
    path = recipe(folders=HERE)

    def run(at: Path, kill_at: str = "none 0") -> tuple[int, str, list[str]]:
        at.mkdir(exist_ok=True)
        searches = [part for search in SEARCH for part in ("--search", search)]
        command = ["tune", path, "--metric", "far", "--trials", "2", *searches]
        code, errors = forks.run(at, *command, path=str(site), KILL_AT=kill_at)
        return code, errors, (at / "said.1").read_text().splitlines()

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
    tuned: Callable[..., tuple[int, str, list[str]]], recipe: Callable[..., str], tmp_path: Path
) -> None:
    """The process is killed in the second epoch of the second trial."""
    space = check_space(recipe(folders=HERE), [], read_space(SEARCH))
    code, errors, table = tuned(tmp_path / "straight")
    assert code == 0, errors
    assert tuned(tmp_path / "killed", "trial-001 8")[0] == -9
    code, errors, same = tuned(tmp_path / "killed")
    assert code == 0, errors
    assert "trial 0 (" not in errors
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
    assert [line.rsplit(maxsplit=1)[0] for line in table[:3]] == [line.rsplit(maxsplit=1)[0] for line in same[:3]]
