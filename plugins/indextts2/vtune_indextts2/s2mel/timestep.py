"""The time of the flow as a vector: sinusoids, then a small network (Peebles and Xie, 2023, arXiv:2212.09748)."""

from __future__ import annotations

import math

import torch
from torch import nn

SINUSOID_CHANNELS = 256
LONGEST_PERIOD = 10_000.0
TIME_SCALE = 1000.0
"""Flow time 0 to 1 is embedded as diffusion time 0 to 1000."""


class TimestepEmbedder(nn.Module):
    """``[B]`` times to ``[B, channels]``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(SINUSOID_CHANNELS, channels), nn.SiLU(), nn.Linear(channels, channels))

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        """Embed times from 0 to 1."""
        half = SINUSOID_CHANNELS // 2
        frequencies = torch.exp(-math.log(LONGEST_PERIOD) * torch.arange(half, dtype=t.dtype, device=t.device) / half)
        angles = TIME_SCALE * t[:, None] * frequencies
        embedded: torch.Tensor = self.mlp(torch.cat([angles.cos(), angles.sin()], dim=-1))
        return embedded
