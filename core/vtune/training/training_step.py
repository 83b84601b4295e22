"""One optimizer step of an engine that has several losses: what the hook ``training_step`` gets as ``step``."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from vtune.errors import EngineError, TrainingError, choices, listed
from vtune.training.further_optimizers import FurtherOptimizer
from vtune.types.training import MAIN_OPTIMIZER

logger = logging.getLogger(__name__)


class Learner:
    """Gives gradients to the tensors of each optimizer, and steps the engine's further optimizers.

    :param main: the tensors of the recipe's optimizer, which the trainer steps.
    :param scaler: of the losses of the recipe's optimizer under fp16; None otherwise.
    :param accelerator: joins the processes.
    :param title: how errors name the engine and its hook.
    """

    def __init__(
        self, main: Sequence[nn.Parameter], further: Mapping[str, FurtherOptimizer], scaler: Any, accelerator: Any,
        title: str,
    ) -> None:  # fmt: skip
        self.further = further
        self.title = title
        self._tensors = {MAIN_OPTIMIZER: list(main)} | {
            name: list(optimizer.parameters.values()) for name, optimizer in further.items()
        }
        self._scalers = {MAIN_OPTIMIZER: scaler} | {name: optimizer.scaler for name, optimizer in further.items()}
        self._accelerator = accelerator
        self._waiting: set[str] = set()

    def learn(self, loss: torch.Tensor, name: str, share: float) -> None:
        """Add a loss's gradients to those of one optimizer's tensors.

        :param share: of this loss in the mean over the batches of an optimizer step.
        """
        if name not in self._tensors:
            raise EngineError(
                f"{self.title}: there is no optimizer {name!r}{choices(name, self._tensors, 'optimizers')}"
            )
        if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
            raise EngineError(f"{self.title}: the loss for optimizer {name!r} must be a tensor with one number")
        if not loss.requires_grad:
            raise EngineError(
                f"{self.title}: the loss for optimizer {name!r} does not depend on any tensor that learns; "
                "it was computed without gradients, or from detached tensors"
            )
        scaler = self._scalers[name]
        scaled = loss.float().reshape(()) * share
        scaled = scaled if scaler is None else scaler.scale(scaled)
        try:
            with torch.autocast(loss.device.type, enabled=False):  # as torch advises for backward
                torch.autograd.backward(scaled, inputs=self._tensors[name])
        except RuntimeError as error:
            if "modified by an inplace operation" not in str(error):
                raise
            raise EngineError(
                f"{self.title}: the loss for optimizer {name!r} was computed before another optimizer moved tensors "
                "that this loss depends on; compute the loss after step.optimize of the other optimizer, or call "
                "step.optimize for this optimizer first"
            ) from error
        self._waiting.add(name)

    def step(self, name: str) -> None:
        """Average the gradients of one optimizer over the processes; step a further optimizer."""
        self._waiting.discard(name)
        self._average(self._tensors[name])
        if name != MAIN_OPTIMIZER:
            self.further[name].step()

    def step_waiting(self) -> None:
        """Step the optimizers that have gradients of earlier batches of this step, but none of the last batch."""
        for name in sorted(self._waiting):
            self.step(name)

    def require_main(self) -> None:
        """Check after the first step that the recipe's optimizer has got a loss.

        :raises EngineError: the optimizer has none.
        """
        if all(tensor.grad is None for tensor in self._tensors[MAIN_OPTIMIZER]):
            raise EngineError(
                f"{self.title} did not call step.optimize(loss) in the first step, so the adapter would learn nothing"
            )
        idle = [name for name, optimizer in self.further.items() if not optimizer.has_moved]
        if idle:
            logger.warning(
                "%s has not called step.optimize for %s in the first step; the training fails at its end if it "
                "never does", self.title, listed(map(repr, idle)),
            )  # fmt: skip

    def require_all(self) -> None:
        """Check after the training that every optimizer has moved. :raises EngineError: names those that have not."""
        idle = [name for name, optimizer in self.further.items() if not optimizer.has_moved]
        if idle:
            raise EngineError(
                f"{self.title} has never called step.optimize for {listed(map(repr, idle))}, so its tensors have "
                "learned nothing; call step.optimize(loss, name), or leave this optimizer out of optimizers"
            )

    def _average(self, tensors: Sequence[nn.Parameter]) -> None:
        """Average gradients over the processes, in one message; a process without a gradient counts as zeros."""
        if self._accelerator.num_processes == 1:
            return
        device = tensors[0].device
        has_gradient = torch.tensor([float(tensor.grad is not None) for tensor in tensors], device=device)
        gradients = [torch.zeros_like(tensor) if tensor.grad is None else tensor.grad for tensor in tensors]
        flat = torch.cat([has_gradient, *(gradient.reshape(-1).float() for gradient in gradients)])
        flat = self._accelerator.reduce(flat, reduction="sum") / self._accelerator.num_processes
        counts, *means = flat.split([len(tensors), *(tensor.numel() for tensor in tensors)])
        for tensor, gradient, count, mean in zip(tensors, gradients, counts.tolist(), means, strict=True):
            if count:
                tensor.grad = gradient.copy_(mean.view_as(gradient))


class OneBatch:
    """One batch of a training for the hook ``training_step``; see ``vtune.types.TrainingStep``.

    :param share: of this batch in an optimizer step: one divided by the number of its batches.
    :param is_last: whether the optimizers move after this batch.
    """

    def __init__(
        self,
        learner: Learner,
        parts: Mapping[str, nn.Module],
        share: float,
        is_last: bool,
        position: tuple[int, int, int],
    ) -> None:
        self.parts = parts
        self.step, self.epoch, self._last_step = position
        self._learner = learner
        self._share = share
        self._is_last = is_last
        self._losses: dict[str, torch.Tensor] = {}

    @property
    def progress(self) -> float:
        """Share of the training that is done, in [0, 1)."""
        return self.step / self._last_step

    def optimize(self, loss: torch.Tensor, optimizer: str = MAIN_OPTIMIZER) -> None:
        """Let one optimizer learn from a loss; see ``vtune.types.TrainingStep``."""
        if optimizer in self._losses:
            raise EngineError(
                f"{self._learner.title}: step.optimize was called twice for optimizer {optimizer!r} in one batch; "
                "add the losses up and call it once"
            )
        self._learner.learn(loss, optimizer, self._share)
        self._losses[optimizer] = loss.detach().reshape(())
        if self._is_last and optimizer != MAIN_OPTIMIZER:
            self._learner.step(optimizer)

    def finish(self, numbers: Mapping[str, torch.Tensor]) -> None:
        """Check the losses and the numbers to log, after the hook; let the optimizers that are left move.

        :raises TrainingError: one is not finite; names it.
        """
        values = {f"the loss for optimizer {name!r}": loss for name, loss in self._losses.items()}
        values |= {f"the number {name!r}": value for name, value in numbers.items()}
        device = next(iter(values.values())).device
        finite = torch.stack([value.to(device).isfinite() for value in values.values()]).tolist()  # one wait for it
        for (name, value), is_finite in zip(values.items(), finite, strict=True):
            if not is_finite:
                raise TrainingError(
                    f"{self._learner.title}: {name} became {float(value)} at step {self.step + 1}; lower "
                    "train.learning_rate or train.learning_rates, or use precision bf16 or fp32 instead of fp16"
                )
        if self._is_last:
            self._learner.step_waiting()
            if self.step == 0:
                self._learner.require_main()
