"""Length regulator: content at the rate of codes stretched to the rate of mel frames."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

FRAMES_PER_STEP = 1.72
"""Mel frames for one step of content: 22050 / 256 frames over 50 steps a second, as the released models round it."""


def target_frames(steps: int, duration_factor: float = 1.0) -> int:
    """Return how many mel frames so many steps of content are spoken in; above 1, the factor speaks slower.

    The product is taken in double precision from left to right, because some results are just below a whole number.
    """
    return int(steps * FRAMES_PER_STEP * duration_factor)


class LengthRegulator(nn.Module):
    """Projection, nearest-neighbour stretching, then a convolution, group norm and Mish for each sampling ratio."""

    def __init__(self, channels: int, in_channels: int, sampling_ratios: Sequence[float]) -> None:
        super().__init__()
        self.content_in_proj = nn.Linear(in_channels, channels)
        layers: list[nn.Module] = []
        for _ in sampling_ratios:
            layers += [nn.Conv1d(channels, channels, 3, padding=1), nn.GroupNorm(1, channels), nn.Mish()]
        self.model = nn.Sequential(*layers, nn.Conv1d(channels, channels, 1))

    def forward(self, x: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """Stretch every row to the longest target, and zero what lies beyond its own.

        :param x: ``[B, N, in_channels]``.
        :param frames: int64 ``[B]``, the target lengths.
        :returns: ``[B, max(frames), channels]``.
        """
        longest = int(frames.max())
        content = self.content_in_proj(x).transpose(1, 2)
        stretched: torch.Tensor = self.model(F.interpolate(content, size=longest, mode="nearest")).transpose(1, 2)
        valid = torch.arange(longest, device=frames.device) < frames[:, None]  # (B, T)
        return stretched * valid[..., None]
