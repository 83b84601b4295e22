"""Cut random segments out of padded clips, for losses that see a part of each clip.

Where a segment begins depends on the lot of its row alone, so the segment is another in each epoch, and the same after
a resume, and always the same one in validation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def segment_starts(lengths: torch.Tensor, size: int, lots: torch.Tensor) -> torch.Tensor:
    """Draw where a segment of each clip begins, int64 ``[B]``; each place is equally likely.

    :param lengths: int64 ``[B]``, without padding. A clip that is shorter than the segment begins at 0.
    :param lots: float64 ``[B]``, from the key ``lot`` of the rows.
    """
    places = (lengths - size + 1).clamp(min=1)
    # The product of a lot below 1 may round up to the number of places.
    return (lots.to(lengths.device).double() * places).long().minimum(places - 1)


def take_segments(frames: torch.Tensor, starts: torch.Tensor, size: int) -> torch.Tensor:
    """Take a segment of each clip, ``[B, size, ...]`` of ``[B, T, ...]``; what lies behind the clips is zero.

    For a waveform that belongs to frames of ``hop`` samples, take ``hop * starts`` and ``hop * size``.

    >>> take_segments(torch.arange(10).reshape(2, 5), torch.tensor([1, 3]), 2)
    tensor([[1, 2],
            [8, 9]])
    """
    import torch

    positions = starts[:, None] + torch.arange(size, device=starts.device)  # [B, size]
    inside = positions < frames.shape[1]
    rows = torch.arange(len(frames), device=starts.device)[:, None]
    taken = frames[rows, positions.clamp(max=frames.shape[1] - 1)]
    return taken * inside.view(*inside.shape, *[1] * (frames.dim() - 2)).to(frames.dtype)
