"""Compute the spectra that the codec is trained on: log-mel at several resolutions."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

SAMPLE_RATE_HZ = 24_000
MIN_MAGNITUDE = 4e-3
"""Lowest magnitude before the logarithm: about 45 dB below the strongest bands of speech at -20 dBFS."""


@cache
def window_of(size: int) -> torch.Tensor:
    """Return a Hann window, ``[size]``, scaled so that magnitudes do not grow with the size."""
    window = torch.hann_window(size)
    return window * (2 / window.sum()) * 8


@cache
def mel_filters(size: int, bands: int) -> torch.Tensor:
    """Return triangular filters on the mel scale, ``[bands, size // 2 + 1]``, each with the sum 1."""
    top = 2595 * np.log10(1 + SAMPLE_RATE_HZ / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, bands + 2) / 2595) - 1)
    frequencies = np.linspace(0, SAMPLE_RATE_HZ / 2, size // 2 + 1)
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.maximum(0, np.minimum((frequencies - low) / (middle - low), (high - frequencies) / (high - middle)))
    # A band narrower than a bin takes the bin that is next to it.
    for band in np.flatnonzero(triangles.sum(axis=1) == 0):
        triangles[band, np.abs(frequencies - edges[band + 1]).argmin()] = 1
    return torch.from_numpy(triangles / triangles.sum(axis=1, keepdims=True)).float()


def magnitudes(sound: torch.Tensor, size: int, hop: int) -> torch.Tensor:
    """Compute the spectrum of ``[B, samples]``: ``[B, size // 2 + 1, samples // hop + 1]``."""
    spectrum = torch.stft(
        sound, size, hop, window=window_of(size), center=True, pad_mode="constant", return_complex=True
    )
    return torch.sqrt(spectrum.real.square() + spectrum.imag.square() + 1e-9)


def log_mel(sound: torch.Tensor, size: int, hop: int, bands: int) -> torch.Tensor:
    """Compute the log-mel spectrum of ``[B, samples]``: ``[B, bands, samples // hop + 1]``, natural logarithm."""
    return torch.log(mel_filters(size, bands) @ magnitudes(sound, size, hop) + MIN_MAGNITUDE)


RESOLUTIONS = ((2048, 512, 160), (1024, 256, 80), (512, 128, 48), (256, 64, 24))
"""Window in samples, hop in samples, and number of bands of each resolution."""


def distance(spoken: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean absolute differences of log-mel spectra and of magnitudes, over all resolutions."""
    mel = spectral = torch.zeros(())
    for size, hop, bands in RESOLUTIONS:
        ours, theirs = magnitudes(spoken, size, hop), magnitudes(target, size, hop)
        filters = mel_filters(size, bands)
        mel = (
            mel + (torch.log(filters @ ours + MIN_MAGNITUDE) - torch.log(filters @ theirs + MIN_MAGNITUDE)).abs().mean()
        )
        spectral = spectral + (ours - theirs).abs().mean() / theirs.mean()
    return mel / len(RESOLUTIONS), spectral / len(RESOLUTIONS)
