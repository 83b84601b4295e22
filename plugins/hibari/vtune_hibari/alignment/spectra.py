"""What the classifier of symbols hears: log mels without the level and the sound of a recording's own speaker."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from vtune_hibari.network.settings import HOP_SAMPLES, SAMPLE_RATE

MEL_BANDS = 64
FFT_SAMPLES, WINDOW_SAMPLES = 1024, 720
MAX_HZ = 8_000.0
MIN_HZ = 50.0

NATURAL_LOG_SPREAD = 2.0
"""Log mels are divided by this, so that they spread by about 1."""

LOWEST = -5.0
"""Smallest value: everything below is silence."""

_LOUD_QUANTILE = 0.95
_LOUD_RANGE = 6.0  # in natural logarithms of power: 26 dB
_SMALLEST_POWER = 1e-10


def log_mels(samples: torch.Tensor) -> torch.Tensor:
    """Return natural logarithms of mel power, float32 ``[64 x F]``, of samples ``[N]``; F is N // 300."""
    frames = len(samples) // HOP_SAMPLES
    window = torch.hann_window(WINDOW_SAMPLES)
    spectra = torch.stft(
        samples.float(), FFT_SAMPLES, HOP_SAMPLES, WINDOW_SAMPLES, window, pad_mode="constant", return_complex=True
    )
    power = spectra[:, :frames].abs().square()
    return (mel_filters(MEL_BANDS, FFT_SAMPLES, MIN_HZ, MAX_HZ) @ power + _SMALLEST_POWER).log()


def normalise(mels: torch.Tensor) -> torch.Tensor:
    """Subtract from each band its mean over the loud frames, which takes away level, microphone and speaker.

    :param mels: ``[64 x F]`` of `log_mels`.
    """
    loudness = mels.mean(0)
    loud = loudness > torch.quantile(loudness, _LOUD_QUANTILE) - _LOUD_RANGE
    normalised = (mels - mels[:, loud].mean(1, keepdim=True)) / NATURAL_LOG_SPREAD
    return normalised.clamp(min=LOWEST)


@lru_cache(maxsize=8)
def mel_filters(bands: int, fft_samples: int, min_hz: float, max_hz: float) -> torch.Tensor:
    """Return triangles of height 1 whose corners are equally far apart on the mel scale, ``[bands x bins]``.

    Mel is ``2595 log10(1 + Hz / 700)`` (O'Shaughnessy, 1987).
    """
    lowest, highest = (float(2595 * np.log10(1 + hertz / 700)) for hertz in (min_hz, max_hz))
    corners = 700 * (10 ** (np.linspace(lowest, highest, bands + 2) / 2595) - 1)
    hertz = np.arange(fft_samples // 2 + 1) * SAMPLE_RATE / fft_samples
    rising = (hertz - corners[:-2, None]) / np.diff(corners)[:-1, None]
    falling = (corners[2:, None] - hertz) / np.diff(corners)[1:, None]
    return torch.from_numpy(np.minimum(rising, falling).clip(min=0).astype(np.float32))
