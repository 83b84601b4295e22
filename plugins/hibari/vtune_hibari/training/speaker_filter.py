"""Let the decoder learn a filter: one gain for each band of each frame, the same for all three levels.

The decoder's harmonics and its residual belong together: where both are made louder by the same factor, the sound has
another colour and is as clean as before; where they learn apart, it buzzes. So the gradients of the three levels are
added up, and phases get none. Neighbouring bands share their gradients, because a vocal tract has no narrow bands.

Weights that begin alike and get the same gradients stay alike, so an ordinary adapter of the decoder's last layer
learns the filter, and is merged and exported as always.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch

from vtune_hibari.network.decoder import SpectralParts
from vtune_hibari.network.settings import BINS, FFT_SAMPLES, SAMPLE_RATE

FILTER_BANDS = 60
"""Gains lie on lines between this many points, which are equally far apart on the mel scale."""


def learn_filter(parts: SpectralParts) -> SpectralParts:
    """Return the same parts, behind which gradients are those of one filter."""
    levels = (parts.harmonic_level, parts.noise_level, parts.residual_level)
    harmonic, noise, residual = _FilterGradient.apply(*levels)  # type: ignore[no-untyped-call]
    return SpectralParts(harmonic, parts.harmonic_phase.detach(), noise, residual, parts.residual_phase.detach())


class _FilterGradient(torch.autograd.Function):
    """Identity of three levels ``[B x F x 601]``; each gets the smoothed sum of the gradients."""

    @staticmethod
    def forward(ctx: Any, *levels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(level.view_as(level) for level in levels)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, ...]:
        bands = filter_bands().to(gradients[0].device)
        shared = torch.stack(gradients).sum(0).float() @ bands.T @ bands
        return tuple(shared.to(gradient.dtype) for gradient in gradients)


@lru_cache(maxsize=1)
def filter_bands() -> torch.Tensor:
    """Return how much each band of a spectrum follows each point of the filter, ``[60 x 601]``; columns add up to 1."""
    mels = np.log10(1 + np.arange(BINS) * SAMPLE_RATE / FFT_SAMPLES / 700)
    points = np.linspace(0, mels[-1], FILTER_BANDS)
    distances = np.abs(points[:, None] - mels) / (points[1] - points[0])
    return torch.from_numpy(np.maximum(0, 1 - distances).astype(np.float32))
