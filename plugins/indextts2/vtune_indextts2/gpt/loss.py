"""Compute cross entropy as sums and counts, from which losses and metrics are made."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

IGNORED_LABEL = -100


@dataclass(frozen=True)
class LabelScores:
    """Sums over the positions that have a label, float32, and their count."""

    loss: torch.Tensor
    hits: torch.Tensor
    count: torch.Tensor

    def mean_loss(self) -> torch.Tensor:
        """Return sum and count of the cross entropy: float32 ``[2]``, detached."""
        return torch.stack([self.loss.detach(), self.count])

    def top1(self) -> torch.Tensor:
        """Return how many labels were the most likely id, and the number of labels: float32 ``[2]``."""
        return torch.stack([self.hits, self.count])


def score(logits: torch.Tensor, labels: torch.Tensor) -> LabelScores:
    """Compare logits ``[N x V]`` with labels ``[N]``."""
    loss = F.cross_entropy(logits.float(), labels, reduction="sum")
    hits = (logits.detach().argmax(-1) == labels).sum().float()
    return LabelScores(loss, hits, torch.tensor(float(len(labels)), device=logits.device))
