"""An engine's further optimizers: each with its learning rate schedule, its loss scale, its clipping and its checks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from vtune.errors import EngineError, listed
from vtune.training.guards import GradientCheck
from vtune.training.parts import TrainingParts
from vtune.training.tensor_state import check_optimizer_state, check_scheduler_state, require_finite

OPTIMIZERS_FILE = "further_optimizers.pt"


def require_whole_parts(optimizers: Mapping[str, Optimizer], parts: TrainingParts, title: str) -> None:
    """Check that each further optimizer holds whole parts, which no other one holds.

    :param title: how errors name the engine and its hook.
    :raises EngineError: names the optimizer and the tensors.
    """
    names = {id(parameter): name for name, parameter in parts.parameters().items()}
    owners: dict[int, str] = {}
    for optimizer, tensors in ((name, held_tensors(optimizer)) for name, optimizer in optimizers.items()):
        strangers = [tensor for tensor in tensors if id(tensor) not in names]
        if strangers:
            raise EngineError(
                f"{title}: optimizer {optimizer!r} holds {len(strangers)} tensors that belong to no part, such as one "
                f"of shape {list(strangers[0].shape)}; declare their module in training_parts"
            )
        for tensor in tensors:
            other = owners.setdefault(id(tensor), optimizer)
            if other != optimizer:
                raise EngineError(f"{title}: the optimizers {other!r} and {optimizer!r} both hold {names[id(tensor)]}")
        held = {names[id(tensor)] for tensor in tensors}
        touched = {name.partition(".")[0] for name in held}
        left = [name for name in names.values() if name.partition(".")[0] in touched and name not in held]
        if left:
            raise EngineError(
                f"{title}: optimizer {optimizer!r} holds a part without {listed(left)}; give it whole parts"
            )
        if not tensors:
            raise EngineError(f"{title}: optimizer {optimizer!r} holds no tensors")


def held_tensors(optimizer: Any) -> list[torch.Tensor]:
    """Return the tensors of an optimizer in its order."""
    return [tensor for group in optimizer.param_groups for tensor in group["params"]]


class FurtherOptimizer:
    """One optimizer of an engine.

    :param parameters: its tensors by name, in its order.
    :param scheduler: of its learning rate.
    :param scaler: scales its losses under fp16; a scaler that is switched off otherwise.
    :param max_grad_norm: largest norm of its gradients; 0 for no limit.
    """

    def __init__(
        self, optimizer: Optimizer, parameters: Mapping[str, nn.Parameter], scheduler: Any, scaler: Any,
        max_grad_norm: float,
    ) -> None:  # fmt: skip
        self.parameters = dict(parameters)
        self.scaler = scaler
        self._optimizer = optimizer
        self._scheduler = scheduler
        self._max_grad_norm = max_grad_norm
        self._check = GradientCheck()

    @property
    def has_moved(self) -> bool:
        """Whether it has ever made a step."""
        return self._check.has_begun

    def step(self) -> None:
        """Clip the gradients, check them in the first steps, move the tensors, and drop the gradients."""
        self.scaler.unscale_(self._optimizer)
        if self._max_grad_norm:
            nn.utils.clip_grad_norm_(self.parameters.values(), self._max_grad_norm)
        if not self._check.is_done:
            self._check.check(self.parameters, self._optimizer)
        self.scaler.step(self._optimizer)
        self.scaler.update()
        self._optimizer.zero_grad(set_to_none=True)

    def follow(self) -> None:
        """Move the learning rate on by one step of the training, whether this optimizer has moved in it or not."""
        self._optimizer._opt_called = True  # type: ignore[attr-defined] # or torch warns of one that begins later
        self._scheduler.step()

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {
            "optimizer": self._optimizer.state_dict(),
            "scheduler": self._scheduler.state_dict(),
            "scaler": self.scaler.state_dict(),
            "check": self._check.seen(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what a checkpoint has kept."""
        self._optimizer.load_state_dict(state["optimizer"])
        self._scheduler.load_state_dict(state["scheduler"])
        if self.scaler.is_enabled() and state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        self._check.restore(state["check"])


def save_optimizers(optimizers: Mapping[str, FurtherOptimizer], folder: Path) -> None:
    """Write the states of the optimizers into a checkpoint, if there are any."""
    if optimizers:
        torch.save({name: optimizer.state() for name, optimizer in optimizers.items()}, folder / OPTIMIZERS_FILE)


def load_optimizers(optimizers: Mapping[str, FurtherOptimizer], folder: Path) -> None:
    """Read the states of the optimizers of a checkpoint."""
    if optimizers:
        states = torch.load(folder / OPTIMIZERS_FILE, map_location="cpu", weights_only=True)
        for name, optimizer in optimizers.items():
            optimizer.restore(states[name])


def check_optimizers(path: Path, optimizers: Mapping[str, Optimizer]) -> None:
    """Check that a file has the states of these optimizers. :raises ValueError: says what does not fit."""
    states = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    if states.keys() != optimizers.keys():
        raise ValueError(f"it holds the optimizers {listed(states)}, and not {listed(optimizers)}")
    for name, state in states.items():
        try:
            check_optimizer_state(state["optimizer"], held_tensors(optimizers[name]))
            check_scheduler_state(state["scheduler"])
        except ValueError as error:
            raise ValueError(f"optimizer {name!r}: {error}") from error
        if state["scaler"]:
            require_finite("the scale", torch.tensor(float(state["scaler"]["scale"])))
