"""What an engine trains beside the adapter, and one step of an engine that has several losses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch
    from torch import nn

MAIN_OPTIMIZER = "main"
"""Name of the recipe's optimizer, beside the names of an engine's further optimizers."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingPart:
    """A module that is trained beside the adapter and does not belong to the voice.

    :param module: a free module, such as a discriminator, which vtune moves to the device of the training; or a module
        inside the model, such as a posterior encoder. All of its tensors learn.
    :param learning_rate: above 0; None for the recipe's ``train.learning_rate``. A recipe may set another rate under
        ``train.learning_rates``.
    """

    module: nn.Module
    learning_rate: float | None = None


class TrainingStep(Protocol):
    """One batch of a training, for the hook ``training_step``."""

    @property
    def parts(self) -> Mapping[str, nn.Module]:
        """The modules that ``training_parts`` has named, on the device of the training."""
        ...

    @property
    def progress(self) -> float:
        """Share of the training that is done, in [0, 1)."""
        ...

    @property
    def epoch(self) -> int:
        """Number of the epochs that are finished."""
        ...

    @property
    def step(self) -> int:
        """Number of the steps that the recipe's optimizer has made."""
        ...

    def optimize(self, loss: torch.Tensor, optimizer: str = MAIN_OPTIMIZER) -> None:
        """Let one optimizer learn from a loss, the mean over this batch.

        Only the tensors of that optimizer get gradients. If gradients are accumulated over several batches, the loss is
        divided by their number, and the optimizer moves after the last of them: the recipe's optimizer after the step,
        a further one at once.

        :param loss: a float32 scalar.
        :param optimizer: a name that the hook ``optimizers`` has given, or ``"main"``.
        :raises EngineError: there is no optimizer of that name, or the loss is not a finite scalar.
        """
        ...
