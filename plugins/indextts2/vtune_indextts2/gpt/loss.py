"""Cross entropy as the sums and counts that losses and metrics are made of."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

IGNORED = -100


@dataclass(frozen=True)
class Scored:
    """What a head said at the places that have a label: sums over them, float32, and their count."""

    loss: torch.Tensor
    hits: torch.Tensor
    count: torch.Tensor

    def mean_loss(self) -> torch.Tensor:
        """Sum and count of the cross entropy, float32 ``[2]``, detached."""
        return torch.stack([self.loss.detach(), self.count])

    def top1(self) -> torch.Tensor:
        """How many labels were the likeliest, and of how many, float32 ``[2]``."""
        return torch.stack([self.hits, self.count])


def score(logits: torch.Tensor, labels: torch.Tensor) -> Scored:
    """Compare logits ``[N, V]`` with labels ``[N]``."""
    loss = F.cross_entropy(logits.float(), labels, reduction="sum")
    hits = (logits.detach().argmax(-1) == labels).sum().float()
    return Scored(loss, hits, torch.tensor(float(len(labels)), device=logits.device))
