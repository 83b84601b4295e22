"""Masks of padded batches."""

from __future__ import annotations

import torch


def length_mask(lengths: torch.Tensor, size: int) -> torch.Tensor:
    """Return True for the places inside each row, bool ``[B, size]``; lengths are int64 ``[B]``.

    >>> length_mask(torch.tensor([1, 2]), 2)
    tensor([[ True, False],
            [ True,  True]])
    """
    return torch.arange(size, device=lengths.device) < lengths[:, None]
