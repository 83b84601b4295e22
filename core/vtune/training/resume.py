"""Choose the checkpoint that a stopped training resumes from: the newest one that is usable."""

from __future__ import annotations

import json
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors import safe_open
from torch import nn
from transformers import TrainerState
from transformers.trainer_pt_utils import safe_globals

from vtune.errors import in_a_line
from vtune.runtime.paths import VoiceFolder
from vtune.training import checkpoints
from vtune.voice_format.weights import ADAPTER_FILE

logger = logging.getLogger(__name__)

TRAINER_STATE = "trainer_state.json"


def loop_state_of(checkpoint: Path, rank: int) -> Path:
    """Return the file in which a process keeps what it has counted since it last logged."""
    return checkpoint / f"loop_state_{rank}.json"


def read_json(path: Path) -> Any:
    """Read a JSON file of a checkpoint."""
    return json.loads(path.read_text(encoding="utf-8"))


def newest_usable(folder: Path, model: nn.Module, processes: int, *, by_best: bool) -> Path | None:
    """Return the newest checkpoint that a training can resume from, None if it starts anew; warn of damaged ones.

    :param by_best: the best checkpoint becomes the voice, so a checkpoint is unusable if the best one is damaged.
    """
    newest_first = checkpoints.all_checkpoints(folder)
    for checkpoint, earlier in zip_longest(newest_first, newest_first[1:]):
        reason = _problem(checkpoint, model, processes, by_best=by_best)
        if reason is None:
            return checkpoint
        instead = f"trying the earlier {earlier.name}" if earlier else "there is no earlier one: training starts anew"
        logger.warning("training: %s cannot be used: %s; %s", checkpoint, reason, instead)
    return None


def _problem(checkpoint: Path, model: nn.Module, processes: int, *, by_best: bool) -> str | None:
    """Return what is wrong with a checkpoint; None if it is usable."""
    reason = checkpoints.damage(checkpoint)
    if reason is not None:
        return reason
    for name, check in _checks(processes):
        try:
            check(checkpoint / name, model)
        except Exception as error:  # a damaged file can make its reader raise anything
            return f"{name} cannot be used: {in_a_line(error)}"
    best = read_json(loop_state_of(checkpoint, 0))["best_checkpoint"]
    if by_best and best not in (None, checkpoint.name):
        reason = checkpoints.damage(checkpoint.with_name(best))
        if reason is not None:
            return f"the best checkpoint before it, {best}, is damaged: {reason}"
    return None


def _checks(processes: int) -> Iterator[tuple[str, Callable[[Path, nn.Module], None]]]:
    yield TRAINER_STATE, _check_state
    yield ".", _check_weights
    yield "optimizer.pt", _check_optimizer
    yield "scheduler.pt", _check_scheduler
    yield "scaler.pt", _check_scaler
    for rank in range(processes):
        yield f"rng_state_{rank}.pth" if processes > 1 else "rng_state.pth", _check_random_state
        yield loop_state_of(Path(), rank).name, _check_loop_state


def _check_state(path: Path, model: nn.Module) -> None:
    step = TrainerState(**read_json(path)).global_step
    if step != checkpoints.step_of(path.parent):
        raise ValueError(f"it belongs to step {step}")


def _check_loop_state(path: Path, model: nn.Module) -> None:
    state = read_json(path)
    _require_finite("the sum of the losses", torch.tensor([state["unlogged_loss"], state["logged_loss"]]))


def _check_weights(folder: Path, model: nn.Module) -> None:
    """Check that the weights have the names and shapes of this model and are finite."""
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
            _require_finite(f"{path.name}: {name}", tensor)


def _check_optimizer(path: Path, model: nn.Module) -> None:
    """Check that the optimizer's state belongs to this model's trainable tensors and is finite."""
    state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    trainable = [tuple(parameter.shape) for parameter in model.parameters() if parameter.requires_grad]
    count = sum(len(group["params"]) for group in state["param_groups"])
    averaged = Counter(tuple(kept["exp_avg"].shape) for kept in state["state"].values() if "exp_avg" in kept)
    if count != len(trainable) or averaged - Counter(trainable):
        raise ValueError("it belongs to other tensors than those that are trained")
    for kept in state["state"].values():
        for name, value in kept.items():
            if isinstance(value, torch.Tensor):
                _require_finite(name, value)


def _check_scheduler(path: Path, model: nn.Module) -> None:
    state = torch.load(path, map_location="cpu", weights_only=True)
    _require_finite("the learning rate", torch.tensor([float(state["last_epoch"]), *state["_last_lr"]]))


def _check_scaler(path: Path, model: nn.Module) -> None:
    """Check that the scale of fp16's losses is finite, if there is one."""
    if path.exists():
        _require_finite("the scale", torch.tensor(float(torch.load(path, weights_only=True)["scale"])))


def _check_random_state(path: Path, model: nn.Module) -> None:
    """Check that the states fit the random generators, by loading them into new generators."""
    with safe_globals():
        states = torch.load(path, weights_only=True)
    random.Random().setstate(states["python"])
    np.random.RandomState().set_state(states["numpy"])
    torch.Generator().set_state(states["cpu"])


def _require_finite(name: str, tensor: torch.Tensor) -> None:
    if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
        raise ValueError(f"{name} holds values that are not finite numbers")
