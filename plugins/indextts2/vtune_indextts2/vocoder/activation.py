"""Snake activation between 2x up- and downsampling, so that its overtones do not fold back.

Sources: Ziyin et al., 2020 (arXiv:2006.08195) for snake; Lee et al., 2023 (arXiv:2206.04658), BigVGAN, for the rest;
the low-pass filter is Kaiser's window design (Oppenheim and Schafer, Discrete-Time Signal Processing, 7.5.3).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import torch
import torch.nn.functional as F
from torch import nn

TAPS = 12
CUTOFF_CYCLES = 0.25
"""Cutoff of the filter, in cycles per sample at the doubled rate: the band of the original rate."""
TRANSITION_HALF_WIDTH = 0.3
"""Half of the transition band, in cycles per sample at the doubled rate."""
EPSILON = 1e-9
EDGE_SAMPLES = TAPS // 4


@cache
def lowpass_filter() -> tuple[float, ...]:
    """Return the 12 taps, symmetric, of sum 1: a sinc under a Kaiser window."""
    attenuation = 2.285 * (TAPS // 2 - 1) * math.pi * 4 * TRANSITION_HALF_WIDTH + 7.95
    beta = 0.1102 * (attenuation - 8.7)  # the design's rule for more than 50 dB
    window = torch.kaiser_window(TAPS, periodic=False, beta=beta, dtype=torch.float64, device="cpu")
    times = torch.arange(TAPS, dtype=torch.float64, device="cpu") - (TAPS - 1) / 2
    taps = window * torch.sinc(2 * CUTOFF_CYCLES * times)
    return tuple((taps / taps.sum()).tolist())


class SnakeBeta(nn.Module):
    """``x + sin^2(a x) / b`` with ``a`` and ``b`` for each channel, stored as logarithms."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Change ``x [B, C, T]`` in place, and return it."""
        waves = (x * self.alpha.exp()[:, None]).sin_().square_()
        return x.addcmul_(waves, 1 / (self.beta.exp()[:, None] + EPSILON))


class AntiAliasedSnake(nn.Module):
    """Snake at twice the rate.

    The doubled signal is kept as its even and its odd samples, to either of which every second tap applies: nothing
    is interleaved, and no zeros are filtered.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.act = SnakeBeta(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``[B, C, T]`` to the same shape; both ends are padded with their last value, at both rates."""
        rising = lowpass_filter()[::2]
        falling = rising[::-1]  # the taps between, for the filter is symmetric
        padded = F.pad(x, (2 * EDGE_SAMPLES, 2 * EDGE_SAMPLES), mode="replicate")
        even = self.act(_filter(padded[..., :-1], [2 * tap for tap in rising]))  # (B, C, EDGE + T + EDGE)
        odd = self.act(_filter(padded[..., 1:], [2 * tap for tap in falling]))
        even[..., :EDGE_SAMPLES] = odd[..., :EDGE_SAMPLES] = even[..., EDGE_SAMPLES, None]
        even[..., -EDGE_SAMPLES:] = odd[..., -EDGE_SAMPLES:] = odd[..., -EDGE_SAMPLES - 1, None]
        return _filter(even[..., 1:], falling).add_(_filter(odd[..., :-1], rising))


def _filter(x: torch.Tensor, taps: Sequence[float]) -> torch.Tensor:
    """Slide ``taps`` over the last axis, without padding.

    A sum of shifted signals is faster on a CPU than a convolution of each channel by itself, up to three times.
    """
    length = x.shape[-1] - len(taps) + 1
    total = x[..., :length] * taps[0]
    for offset, tap in enumerate(taps[1:], start=1):
        total.add_(x[..., offset : offset + length], alpha=tap)
    return total
