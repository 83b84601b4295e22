"""The training loss from hidden states: at labelled places only, a few rows of logits at a time.

At 3B, with a vocabulary of 156,940, the logits of 2048 tokens take 2 GB in bf16 and as a float32 copy, and their
gradients as much again. Here they exist for a few hundred places at once, and what backward needs of them is computed
while they are there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable

IGNORED = -100
_LOGITS = 2**25
"""How many logits exist at a time: 128 MiB in float32, which is 208 places at 3B."""
_MULTIPLE = 16
_LOOKED_AT = 64
"""Places of a batch at which ``outside`` looks, about: a thousandth of the work of a step at 3B."""


def places_to_learn(labels: torch.Tensor) -> torch.Tensor:
    """Which places have something to predict: labels ``[N]`` to indices ``[M]``."""
    return (labels != IGNORED).nonzero().squeeze(1)


@dataclass(frozen=True, slots=True)
class Among:
    """Tokens that a loss is normalised over: the end of speech, and sound, whose tokens stand behind it."""

    end: int
    sound: range

    @property
    def span(self) -> slice:
        """From the first to the last of them."""
        return slice(self.end, self.sound.stop)

    def forbidden(self, device: torch.device) -> torch.Tensor:
        """Which tokens of the span are none of them, bool ``[len(span)]``."""
        ids = torch.arange(self.end, self.sound.stop, device=device)
        return (ids > self.end) & (ids < self.sound.start)


def summed_loss(
    hidden: torch.Tensor, head: torch.Tensor, labels: torch.Tensor, among: Among | None = None
) -> torch.Tensor:
    """Cross entropy of ``hidden @ head.T``, summed over the places that have a label, computed in float32.

    The matrix products run in autocast's dtype where there is autocast, as those of ``nn.Linear`` would.

    :param hidden: last hidden states ``[N, H]``.
    :param head: ``[V, H]``, frozen or trained.
    :param labels: the token that each place predicts, int64 ``[N]``; -100 is ignored.
    :param among: tokens that are normalised over, which all labels are of; default: the vocabulary.
    :returns: a float32 scalar with gradients for ``hidden`` and, if it is trained, ``head``.
    """
    places = places_to_learn(labels)
    head = head if torch.is_grad_enabled() else head.detach()
    rows, wanted = hidden.index_select(0, places), labels.index_select(0, places)
    forbidden = None
    if among is not None:
        head, wanted, forbidden = head[among.span], wanted - among.end, among.forbidden(head.device)
    total: torch.Tensor = _SummedLoss.apply(rows, head, wanted, forbidden)  # type: ignore[no-untyped-call]
    return total


@torch.no_grad()
def outside(hidden: torch.Tensor, head: torch.Tensor, labels: torch.Tensor, among: Among) -> torch.Tensor:
    """How much probability is left to tokens that are not of ``among``: ``[sum, count]`` over some labelled places.

    Shapes as for ``summed_loss``.
    """
    places = places_to_learn(labels)
    places = places[:: max(len(places) // _LOOKED_AT, 1)]
    logits = nn.functional.linear(hidden.index_select(0, places).to(head.dtype), head).float()
    logits = logits - logits.logsumexp(1, keepdim=True)
    inside = logits[:, among.span].masked_fill(among.forbidden(head.device), float("-inf")).exp().sum(1)
    return torch.stack([(1 - inside).sum(), inside.new_tensor(float(len(places)))])


class _SummedLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, head: torch.Tensor, labels: torch.Tensor, forbidden: torch.Tensor | None
    ) -> torch.Tensor:
        kind = hidden.device.type
        narrow = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else head.dtype
        of_hidden, of_head = ctx.needs_input_grad[:2]
        ctx.dtypes = hidden.dtype, head.dtype
        with torch.autocast(kind, enabled=False):
            rows, weight = hidden.to(narrow), head.to(narrow)
            total = torch.zeros((), dtype=torch.float32, device=hidden.device)
            hidden_grad = torch.empty_like(rows) if of_hidden else None
            head_grad = torch.zeros_like(weight, dtype=torch.float32) if of_head else None
            count = chunk_rows(len(weight))
            for start in range(0, len(rows), count):
                part = slice(start, start + count)
                into = hidden_grad[part] if hidden_grad is not None else None
                total += _chunk(rows[part], weight, labels[part, None], forbidden, into, head_grad)
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


def _chunk(
    rows: torch.Tensor,
    weight: torch.Tensor,
    wanted: torch.Tensor,
    forbidden: torch.Tensor | None,
    hidden_grad: torch.Tensor | None,
    head_grad: torch.Tensor | None,
) -> torch.Tensor:
    """The summed loss of some rows; their gradient is written into the one and added to the other."""
    logits = nn.functional.linear(rows, weight).float()
    if forbidden is not None:
        logits.masked_fill_(forbidden, float("-inf"))
    logits -= logits.amax(1, keepdim=True)
    said = logits.gather(1, wanted)
    summed = logits.exp_().sum(1, keepdim=True)  # from here on, no logarithms
    if hidden_grad is not None or head_grad is not None:
        logits /= summed
        logits.scatter_add_(1, wanted, torch.full_like(summed, -1.0))
        gradient = logits.to(rows.dtype)
        if hidden_grad is not None:
            torch.mm(gradient, weight, out=hidden_grad)
        if head_grad is not None:
            head_grad += gradient.T @ rows
    return (summed.log() - said).sum()


def chunk_rows(vocabulary: int) -> int:
    """How many places have their logits at a time."""
    return max(_LOGITS // vocabulary // _MULTIPLE, 1) * _MULTIPLE
