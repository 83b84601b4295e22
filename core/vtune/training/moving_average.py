"""An exponential moving average of the weights, which becomes the voice in place of the last weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from vtune.errors import TrainingError
from vtune.training.divided_tensors import gathered_state
from vtune.training.tensor_state import read_into, write_tensors

RAW_WEIGHTS_FILE = "raw_weights.safetensors"
"""The weights with which a training continues; the adapter file beside it has the averages."""


class MovingAverage:
    """The average of each tensor of the adapter over the steps of a training.

    After step ``t``, ``average = d * average + (1 - d) * weights`` with ``d = min(decay, (1 + t) / (10 + t))``: in a
    short training, the weights of the beginning must not weigh most.

    :param parameters: the tensors by name; the average begins with their values.
    :param decay: above 0, below 1.
    :raises TrainingError: a tensor is in half precision, in which the small changes of an average are lost.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float) -> None:
        narrow = next((name for name, parameter in parameters.items() if parameter.element_size() < 4), None)
        if narrow is not None:
            raise TrainingError(
                f"train.ema: {narrow} is {parameters[narrow].dtype}, and only float32 can be averaged; take it out of "
                "lora.modules_to_save, or use precision fp32"
            )
        self._decay = decay
        self._parameters = dict(parameters)
        self._averages = {name: parameter.detach().clone() for name, parameter in parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after a step; the first step is 1."""
        decay = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self._averages.values()), list(self._parameters.values()), 1 - decay)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Let the model compute with the averages for a while."""
        self.exchange()
        try:
            yield
        finally:
            self.exchange()

    def exchange(self) -> None:
        """Exchange the weights of the model and their averages."""
        # In place: a process that holds a piece of a divided tensor computes with the memory of this piece.
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                weights = parameter.detach().clone()
                parameter.copy_(self._averages[name])
                self._averages[name].copy_(weights)

    def save_raw(self, folder: Path, *, writes: bool = True) -> None:
        """Write the weights with which the training continues; call it while the averages are not in use.

        :param writes: False in the processes that only take part in gathering divided weights.
        """
        tensors = gathered_state(self._parameters, keep=writes)
        if writes:
            write_tensors(tensors, folder / RAW_WEIGHTS_FILE)

    def load(self, folder: Path) -> None:
        """Take the weights of the model as the averages, and read the weights with which the training continues."""
        for name, parameter in self._parameters.items():
            self._averages[name].copy_(parameter.detach())
        read_into(self._parameters, folder / RAW_WEIGHTS_FILE)

    def raw(self) -> Mapping[str, torch.Tensor]:
        """Return the tensors that ``save_raw`` writes."""
        return self._parameters
