"""Notice a loss that is not finite at its own step, without making the CPU wait for a GPU."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import torch

from vtune.errors import TrainingError


def require_finite_loss(name: str, value: float, step: int) -> None:
    """Check a loss. :raises TrainingError: it is NaN or infinite; says what to change."""
    if not math.isfinite(value):
        raise TrainingError(
            f"{name} became {value} at step {step}; lower train.learning_rate, "
            "or use precision bf16 or fp32 instead of fp16"
        )


class LossWatch:
    """Checks the loss of every batch, where the log shows a mean over ``train.log_every`` steps.

    A loss on a GPU is copied in the background, and checked as soon as the copy is there: mostly one step later.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, torch.Tensor, Any]] = deque()

    def add(self, loss: torch.Tensor, step: int) -> None:
        """Take the loss of a batch, one number, of the optimizer step ``step`` (from 1)."""
        value, event = loss.detach(), None
        cuda: Any = torch.cuda  # whose events have no types
        if value.is_cuda:
            on_host = torch.empty((), dtype=value.dtype, pin_memory=True)
            value = on_host.copy_(value, non_blocking=True)
            event = cuda.Event()
            event.record()
        self._waiting.append((step, value, event))

    def check(self, wait: bool = False) -> None:
        """Check the losses that have arrived, or all of them. :raises TrainingError: one is NaN or infinite."""
        while self._waiting:
            step, value, event = self._waiting[0]
            if event is not None:
                if not wait and not event.query():
                    return
                event.synchronize()
            self._waiting.popleft()
            require_finite_loss("loss", float(value), step)
