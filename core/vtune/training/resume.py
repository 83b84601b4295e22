"""Choose the checkpoint that a stopped training resumes from: the newest usable checkpoint."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors import safe_open
from transformers import TrainerState
from transformers.trainer_pt_utils import safe_globals

from vtune.errors import in_a_line
from vtune.runtime.paths import VoiceFolder
from vtune.training import checkpoints
from vtune.training.further_optimizers import OPTIMIZERS_FILE, check_optimizers
from vtune.training.moving_average import RAW_WEIGHTS_FILE
from vtune.training.parts import PARTS_FILE
from vtune.training.tensor_state import check_optimizer_state, check_scheduler_state, check_tensors, require_finite
from vtune.training.trained import Trained
from vtune.voice_format.weights import ADAPTER_FILE

logger = logging.getLogger(__name__)

TRAINER_STATE, OPTIMIZER_STATE, SCHEDULER_STATE = "trainer_state.json", "optimizer.pt", "scheduler.pt"


def loop_state_of(checkpoint: Path, rank: int) -> Path:
    """Return the file in which a process keeps what it has counted since it last logged."""
    return checkpoint / f"loop_state_{rank}.json"


def read_json(path: Path) -> Any:
    """Read a JSON file of a checkpoint."""
    return json.loads(path.read_text(encoding="utf-8"))


def newest_usable(folder: Path, trained: Trained, processes: int, *, by_best: bool) -> Path | None:
    """Return the newest checkpoint that a training can resume from, None if it starts anew; warn of damaged ones.

    :param by_best: the best checkpoint becomes the voice, so a checkpoint is unusable if the best one is damaged.
    """
    newest_first = checkpoints.all_checkpoints(folder)
    for checkpoint, earlier in zip_longest(newest_first, newest_first[1:]):
        reason = _problem(checkpoint, trained, processes, by_best=by_best)
        if reason is None:
            return checkpoint
        instead = f"trying the earlier {earlier.name}" if earlier else "there is no earlier one: training starts anew"
        logger.warning("training: %s cannot be used: %s; %s", checkpoint, reason, instead)
    return None


def _problem(checkpoint: Path, trained: Trained, processes: int, *, by_best: bool) -> str | None:
    """Return what is wrong with a checkpoint; None if it is usable."""
    reason = checkpoints.damage(checkpoint)
    if reason is not None:
        return reason
    for name, check in _checks(trained, processes):
        try:
            check(checkpoint / name, trained)
        except Exception as error:  # a damaged file can make its reader raise anything
            return f"{name} cannot be used: {in_a_line(error)}"
    best = read_json(loop_state_of(checkpoint, 0))["best_checkpoint"]
    if by_best and best not in (None, checkpoint.name):
        reason = checkpoints.damage(checkpoint.with_name(best))
        if reason is not None:
            return f"the best checkpoint before it, {best}, is damaged: {reason}"
    return None


def _checks(trained: Trained, processes: int) -> Iterator[tuple[str, Callable[[Path, Trained], None]]]:
    yield TRAINER_STATE, _check_state
    yield ".", _check_weights
    yield OPTIMIZER_STATE, _check_optimizer
    yield SCHEDULER_STATE, _check_scheduler
    yield "scaler.pt", _check_scaler
    if trained.parts.modules:
        yield PARTS_FILE, lambda path, trained: check_tensors(trained.parts.state(), path)
    if trained.optimizers:
        yield OPTIMIZERS_FILE, lambda path, trained: check_optimizers(path, trained.optimizers)
    if trained.average is not None:
        average = trained.average
        yield RAW_WEIGHTS_FILE, lambda path, _: check_tensors(average.raw(), path)
    for rank in range(processes):
        yield f"rng_state_{rank}.pth" if processes > 1 else "rng_state.pth", _check_random_state
        yield loop_state_of(Path(), rank).name, _check_loop_state


def _check_state(path: Path, trained: Trained) -> None:
    step = TrainerState(**read_json(path)).global_step
    if step != checkpoints.step_of(path.parent):
        raise ValueError(f"it belongs to step {step}")


def _check_loop_state(path: Path, trained: Trained) -> None:
    state = read_json(path)
    require_finite("the sum of the losses", torch.tensor([state["unlogged_loss"], state["logged_loss"]]))


def _check_weights(folder: Path, trained: Trained) -> None:
    """Check that the weights have the names and shapes of this model and are finite."""
    model = trained.model
    if isinstance(model, PeftModel):
        path, own, exactly = folder / ADAPTER_FILE, get_peft_model_state_dict(model), True
    else:
        # Tied tensors are stored once, under one of their names.
        path, own, exactly = VoiceFolder(folder).weights, model.state_dict(), False
    with safe_open(str(path), framework="pt") as file:
        names = set(file.keys())
        if names - own.keys() or (exactly and own.keys() - names):
            raise ValueError(f"{path.name} holds tensors of another network")
        for name in names:
            tensor = file.get_tensor(name)
            if tensor.shape != own[name].shape:
                raise ValueError(f"{path.name}: {name} is {tuple(tensor.shape)}, not {tuple(own[name].shape)}")
            require_finite(f"{path.name}: {name}", tensor)


def _check_optimizer(path: Path, trained: Trained) -> None:
    """Check that the state of the recipe's optimizer belongs to the tensors that it steps and is finite."""
    state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    check_optimizer_state(state, trained.main_parameters().values())


def _check_scheduler(path: Path, trained: Trained) -> None:
    check_scheduler_state(torch.load(path, map_location="cpu", weights_only=True))


def _check_scaler(path: Path, trained: Trained) -> None:
    """Check that the scale of fp16's losses is finite, if there is one."""
    if path.exists():
        require_finite("the scale", torch.tensor(float(torch.load(path, weights_only=True)["scale"])))


def _check_random_state(path: Path, trained: Trained) -> None:
    """Check that the states fit the random generators, by loading them into new generators."""
    with safe_globals():
        states = torch.load(path, weights_only=True)
    random.Random().setstate(states["python"])
    np.random.RandomState().set_state(states["numpy"])
    torch.Generator().set_state(states["cpu"])
