"""A process trains on one GPU: on the one that the recipe names, and never on all of them at once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import TrainingArguments

from vtune.errors import TrainingError
from vtune.runtime.distributed.ranks import init_distributed
from vtune.training import trainer_arguments


@pytest.fixture
def arguments(tmp_path: Path) -> TrainingArguments:
    """Arguments as on a machine with two GPUs, both of which transformers would train on in one process."""
    made = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to=[])
    made._n_gpu = 2
    return made


def test_several_gpus_are_not_filled_by_one_process(arguments: TrainingArguments) -> None:
    trainer_arguments.use_one_gpu(arguments, "auto")

    assert arguments.n_gpu == 1
    assert arguments.train_batch_size == arguments.per_device_train_batch_size


def test_the_training_runs_on_the_gpu_that_the_recipe_names(
    arguments: TrainingArguments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer_arguments, "pick_device", torch.device)

    trainer_arguments.use_one_gpu(arguments, "cuda:1")

    assert arguments.device == torch.device("cuda", 1)


def test_a_launch_of_several_processes_cannot_share_one_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")

    with pytest.raises(TrainingError) as error:
        init_distributed("cuda:1", None)

    assert str(error.value) == (
        "train.device is 'cuda:1', one GPU, and the launch has 2 processes; write train.device=cuda, which gives each "
        "process a GPU of its own"
    )
