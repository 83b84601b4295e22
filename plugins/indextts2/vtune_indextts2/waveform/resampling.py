"""Change sample rates with the Hann-windowed sinc that IndexTTS2's networks were trained with.

An output sample at ``t`` is the sum of ``x[n] h(t - n)`` over the input, which is zero outside the clip, with
``h(t) = c sinc(c t) cos^2(pi c t / 2 W)`` where ``|c t| < W``, and 0 elsewhere; ``c = 0.99 min(1, new / old)``.

Source: J. O. Smith, "Digital Audio Resampling" (CCRMA, 2002).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import soxr
import torch
from torch.nn import functional as F

ZERO_CROSSINGS = 6
"""W: half the filter's width, in zero crossings of the sinc."""

ROLLOFF = 0.99

MAX_KERNEL_TAPS = 1 << 20
"""Largest number of taps; 4 MB."""


def resample(waveform: torch.Tensor, old: int, new: int) -> torch.Tensor:
    """Change the sample rate of ``[..., n]`` to get ``[..., ceil(n new / old)]``, without delay.

    :param old: Hz.
    :param new: Hz.
    """
    if old == new:
        return waveform
    length = -(-waveform.shape[-1] * new // old)
    common = math.gcd(old, new)
    old, new = old // common, new // common
    reach = _reach(old, new)
    clips = waveform.reshape(math.prod(waveform.shape[:-1]), waveform.shape[-1])
    if new * (old + 2 * reach) > MAX_KERNEL_TAPS:
        # Rates with next to nothing in common, say 47999 and 22050 Hz, need a filter for each of 22050 positions
        # between two samples: 4 GB. Nobody trained on such clips, so another good filter works as well.
        return _by_soxr(clips, old, new, length).reshape(*waveform.shape[:-1], length)
    # Each step over ``old`` samples gives the next ``new`` outputs, one a channel.
    steps = F.conv1d(F.pad(clips[:, None], (reach, reach + old)), _kernel(old, new).to(waveform), stride=old)
    return steps.transpose(1, 2).flatten(1)[:, :length].reshape(*waveform.shape[:-1], length)


def _reach(old: int, new: int) -> int:
    return math.ceil(ZERO_CROSSINGS / (ROLLOFF * min(1.0, new / old)))


@lru_cache(maxsize=16)
def _kernel(old: int, new: int) -> torch.Tensor:
    """Compute ``[new, 1, old + 2 reach]`` taps, a row for each output of a step; the rates have no common divisor."""
    cutoff = ROLLOFF * min(1.0, new / old)
    reach = _reach(old, new)
    t = cutoff * (np.arange(new)[:, None] * old / new - np.arange(-reach, old + reach))
    window = np.cos(np.pi * np.clip(t / ZERO_CROSSINGS, -1, 1) / 2) ** 2
    return torch.from_numpy((cutoff * np.sinc(t) * window).astype(np.float32))[:, None]


def _by_soxr(clips: torch.Tensor, old: int, new: int, length: int) -> torch.Tensor:
    sound = [torch.from_numpy(soxr.resample(clip, old, new, quality="HQ")) for clip in clips.cpu().numpy()]
    # soxr rounds the length to the nearest sample.
    return torch.stack([F.pad(clip, (0, length - len(clip))) for clip in sound]).to(clips)
