"""Compute the training loss from hidden states, only at positions with a label and for a few positions at a time.

At 3B, with a vocabulary of 156,940, the logits of 2048 tokens take 2 GB in bf16 with their float32 copy, and their
gradients take as much again. Here logits exist for a few hundred positions at a time, and their gradients are computed
while they exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable

IGNORED_LABEL = -100
_CHUNK_LOGITS = 2**25
"""Logits that exist at a time: 128 MiB in float32, which is 208 positions at 3B."""
_CHUNK_ROW_MULTIPLE = 16
_MEASURED_POSITIONS = 64
"""About how many positions of a batch ``non_sound_probability`` measures: a thousandth of the work of a step at 3B."""


def labelled_positions(labels: torch.Tensor) -> torch.Tensor:
    """Return the positions that have a label: labels ``[N]`` to indices ``[M]``."""
    return (labels != IGNORED_LABEL).nonzero().squeeze(1)


@dataclass(frozen=True, slots=True)
class LossTokens:
    """The tokens that a loss is normalised over: the end of speech and the sound tokens, whose ids are larger."""

    end: int
    sound: range

    @property
    def span(self) -> slice:
        """The slice of ids from the first to the last of these tokens."""
        return slice(self.end, self.sound.stop)

    def forbidden(self, device: torch.device) -> torch.Tensor:
        """Return which ids of the span are other tokens: bool ``[len(span)]``."""
        ids = torch.arange(self.end, self.sound.stop, device=device)
        return (ids > self.end) & (ids < self.sound.start)


def summed_loss(
    hidden: torch.Tensor, head: torch.Tensor, labels: torch.Tensor, tokens: LossTokens | None = None
) -> torch.Tensor:
    """Return the cross entropy of ``hidden @ head.T``, summed over the positions with a label, as a float32 scalar.

    Under autocast the matrix products use autocast's dtype, as those of ``nn.Linear`` do. The scalar has gradients for
    ``hidden`` and, if the head is trained, for ``head``.

    :param hidden: last hidden states ``[N x H]``.
    :param head: ``[V x H]``, frozen or trained.
    :param labels: the token that each position predicts, int64 ``[N]``; -100 is ignored.
    :param tokens: the tokens that the loss is normalised over; all labels must be among them. Default: the vocabulary.
    """
    positions = labelled_positions(labels)
    head = head if torch.is_grad_enabled() else head.detach()
    rows, targets = hidden.index_select(0, positions), labels.index_select(0, positions)  # [M x H], [M]
    forbidden = None
    if tokens is not None:
        head, targets, forbidden = head[tokens.span], targets - tokens.end, tokens.forbidden(head.device)
    total: torch.Tensor = _SummedLoss.apply(rows, head, targets, forbidden)  # type: ignore[no-untyped-call]
    return total


@torch.no_grad()
def non_sound_probability(
    hidden: torch.Tensor, head: torch.Tensor, labels: torch.Tensor, tokens: LossTokens
) -> torch.Tensor:
    """Return how much probability the network gives to tokens outside ``tokens``: ``[sum, count]`` over some positions.

    Shapes as for ``summed_loss``.
    """
    positions = labelled_positions(labels)
    positions = positions[:: max(len(positions) // _MEASURED_POSITIONS, 1)]
    logits = nn.functional.linear(hidden.index_select(0, positions).to(head.dtype), head).float()
    logits = logits - logits.logsumexp(1, keepdim=True)
    inside = logits[:, tokens.span].masked_fill(tokens.forbidden(head.device), float("-inf")).exp().sum(1)
    return torch.stack([(1 - inside).sum(), inside.new_tensor(float(len(positions)))])


class _SummedLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, head: torch.Tensor, labels: torch.Tensor, forbidden: torch.Tensor | None
    ) -> torch.Tensor:
        device_type = hidden.device.type
        dtype = torch.get_autocast_dtype(device_type) if torch.is_autocast_enabled(device_type) else head.dtype
        needs_hidden, needs_head = ctx.needs_input_grad[:2]
        ctx.dtypes = hidden.dtype, head.dtype
        with torch.autocast(device_type, enabled=False):
            rows, weight = hidden.to(dtype), head.to(dtype)
            total = torch.zeros((), dtype=torch.float32, device=hidden.device)
            hidden_grad = torch.empty_like(rows) if needs_hidden else None
            head_grad = torch.zeros_like(weight, dtype=torch.float32) if needs_head else None
            count = chunk_rows(len(weight))
            for start in range(0, len(rows), count):
                part = slice(start, start + count)
                part_grad = hidden_grad[part] if hidden_grad is not None else None
                total += _chunk_loss(rows[part], weight, labels[part, None], forbidden, part_grad, head_grad)
        ctx.save_for_backward(hidden_grad, head_grad)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None, None, None]:
        grads = [
            None if grad is None else (grad * outer).to(dtype)
            for grad, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        ]
        return grads[0], grads[1], None, None


def _chunk_loss(
    rows: torch.Tensor,
    weight: torch.Tensor,
    targets: torch.Tensor,
    forbidden: torch.Tensor | None,
    hidden_grad: torch.Tensor | None,
    head_grad: torch.Tensor | None,
) -> torch.Tensor:
    """Return the summed loss of some rows; write their gradient to ``hidden_grad`` and add to ``head_grad``.

    :param rows: ``[n x H]``; ``targets`` is int64 ``[n x 1]``, ``forbidden`` bool ``[V]``.
    """
    logits = nn.functional.linear(rows, weight).float()  # [n x V]
    if forbidden is not None:
        logits.masked_fill_(forbidden, float("-inf"))
    logits -= logits.amax(1, keepdim=True)
    target_logits = logits.gather(1, targets)
    summed = logits.exp_().sum(1, keepdim=True)  # from here on, ``logits`` holds exponentials
    if hidden_grad is not None or head_grad is not None:
        logits /= summed
        logits.scatter_add_(1, targets, torch.full_like(summed, -1.0))
        gradient = logits.to(rows.dtype)
        if hidden_grad is not None:
            torch.mm(gradient, weight, out=hidden_grad)
        if head_grad is not None:
            head_grad += gradient.T @ rows
    return (summed.log() - target_logits).sum()


def chunk_rows(vocabulary: int) -> int:
    """Return for how many positions logits exist at a time."""
    return max(_CHUNK_LOGITS // vocabulary // _CHUNK_ROW_MULTIPLE, 1) * _CHUNK_ROW_MULTIPLE
