"""The noise of one spoken text, drawn on the CPU from a seed."""

from __future__ import annotations

import torch


class SpeakingNoise:
    """Standard normal noise of one text: the same seed gives the same noise on every device."""

    def __init__(self, seed: int) -> None:
        self._generators = [torch.Generator().manual_seed(2 * seed + stream) for stream in range(2)]

    def durations(self, length: int) -> torch.Tensor:
        """Return noise for the durations of so many phonemes, float32 ``[2 x L]``."""
        return torch.randn(length, 2, generator=self._generators[0]).T

    def latents(self, channels: int, frames: int) -> torch.Tensor:
        """Return noise for so many frames of latents, float32 ``[C x T]``."""
        return torch.randn(frames, channels, generator=self._generators[1]).T
