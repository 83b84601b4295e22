"""The section ``train`` as arguments of transformers, where their own defaults would do something else."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from vtune.recipe import TrainRecipe
from vtune.training.trainer_arguments import training_arguments


def test_one_process_takes_one_gpu_of_several(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """transformers would divide each batch over threads, one for each GPU, without being asked."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    recipe: Any = SimpleNamespace(train=TrainRecipe(batch_size=2, gradient_checkpointing=False))
    arguments = training_arguments(recipe, tmp_path, "fp32", use_cpu=False, validated=False)
    assert arguments.n_gpu == 1
    assert arguments.train_batch_size == 2
