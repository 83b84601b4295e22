"""Everything that one training changes: the adapter, the parts beside it, and the average of the adapter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from vtune.training.further_optimizers import held_tensors
from vtune.training.guards import adapter_parameters
from vtune.training.moving_average import MovingAverage
from vtune.training.parts import ModelWithParts, TrainingParts
from vtune.training.sharding import ShardedNetwork
from vtune.voice_format.weights import load_weights, save_weights

if TYPE_CHECKING:
    from torch.optim import Optimizer


@dataclass(frozen=True, slots=True)
class Trained:
    """What one training changes, and what steps it.

    :param model: the PeftModel of the engine, or the network without an adapter; what learns, divided or not.
    :param average: None without ``train.ema``.
    :param optimizers: the engine's further optimizers by name.
    :param rates: learning rates of tensors that have one of their own, by name.
    :param frozen: names of the tensors of the adapter or network that do not learn.
    :param sharded: makes the model whole, if it is divided over the processes.
    """

    model: nn.Module
    parts: TrainingParts
    average: MovingAverage | None = None
    optimizers: Mapping[str, Optimizer] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)
    frozen: frozenset[str] = frozenset()
    sharded: ShardedNetwork | None = None

    def module(self) -> nn.Module:
        """Return one module with everything that is trained; the model itself if there are no parts."""
        return ModelWithParts(self.model, self.parts) if self.parts.modules else self.model

    def parameters(self) -> dict[str, nn.Parameter]:
        """Return the tensors that learn by name, those of the adapter first."""
        adapter = adapter_parameters(self.model, self.parts)
        return {name: adapter[name] for name in adapter if name not in self.frozen} | self.parts.parameters()

    def main_parameters(self) -> dict[str, nn.Parameter]:
        """Return the tensors that the recipe's optimizer steps, by name."""
        further = {id(tensor) for optimizer in self.optimizers.values() for tensor in held_tensors(optimizer)}
        return {name: parameter for name, parameter in self.parameters().items() if id(parameter) not in further}

    @contextmanager
    def as_voice(self, *, here: bool = True) -> Iterator[nn.Module]:
        """Make for a while what a voice of this moment would be: averaged, without the parts, and whole.

        Every process must enter if the model is divided.

        :param here: False in a process that does not use the result.
        """
        with ExitStack() as stack:
            stack.enter_context(self.parts.left_out())
            if self.average is not None:
                stack.enter_context(self.average.in_use())
            yield self.model if self.sharded is None else stack.enter_context(self.sharded.as_whole(here=here))

    @contextmanager
    def as_averaged(self) -> Iterator[None]:
        """Let the model compute with averaged weights for a while, and with the parts as they are."""
        with self.average.in_use() if self.average is not None else ExitStack():
            yield

    def save(self, folder: Path, *, writes: bool = True) -> None:
        """Write a checkpoint's weights: what a voice would be, and beside it what a training needs to continue.

        :param writes: False in the processes that only take part in gathering a divided model.
        """
        if not writes and self.sharded is None:
            return
        with self.as_voice(here=writes) as model:
            if writes:
                save_weights(model, folder)
        if writes:
            self.parts.save(folder)
        if self.average is not None:
            self.average.save_raw(folder, writes=writes)

    def load(self, folder: Path) -> None:
        """Read a checkpoint's weights to continue the training."""
        self.load_voice(folder)
        self.parts.load(folder)
        if self.average is not None:
            self.average.load(folder)

    def load_voice(self, folder: Path) -> None:
        """Read what a voice would be from a checkpoint."""
        if self.sharded is None:
            load_weights(self.model, folder)
            return
        with self.sharded.as_whole() as network:
            load_weights(network, folder)
            self.sharded.take()
