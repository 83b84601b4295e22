"""Sound to a mel spectrogram and back, without a network.

Put the features and the vocoder of your engine in the place of this module.
"""

from __future__ import annotations

import math
from functools import cache

import torch

SAMPLE_RATE = 8000
WINDOW_SAMPLES, HOP_SAMPLES = 512, 128
MEL_COUNT = 64
QUIETEST = 1e-3
"""Magnitudes are at least this large, so that silence has a finite logarithm."""
MEAN, DEVIATION = -3.5, 2.5
"""About what log mel spectrograms of speech have; the network works best with numbers near 0."""
PHASE_ROUNDS, MOMENTUM = 30, 0.9


def mel_spectrogram(waveform: torch.Tensor) -> torch.Tensor:
    """Compute the normalised log mel spectrogram of a waveform, float32 ``[T x 64]``, T = samples / 128, rounded up."""
    padded = torch.nn.functional.pad(waveform, (0, -len(waveform) % HOP_SAMPLES))
    magnitudes = _stft(padded).abs()[:, :-1].T  # [T x 257]
    return ((magnitudes @ _mel_filters()).clamp(min=QUIETEST).log() - MEAN) / DEVIATION


def sound_of(mel: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return sound with a mel spectrogram ``[T x 64]``, float32 ``[128 * T]``: the method of Griffin and Lim.

    A spectrogram has no phases. They begin at random; each round computes the sound, and takes its phases.

    :param generator: of the first phases.
    """
    mels = (mel.float() * DEVIATION + MEAN).exp()
    magnitudes = (mels @ torch.linalg.pinv(_mel_filters())).clamp(min=0)  # [T x 257]
    magnitudes = torch.cat([magnitudes, magnitudes[-1:]]).T  # one frame more than hops
    angles = 2 * math.pi * torch.rand(magnitudes.shape, generator=generator)
    spectrum, before = torch.polar(magnitudes, angles), torch.zeros(magnitudes.shape, dtype=torch.complex64)
    for _ in range(PHASE_ROUNDS):
        consistent = _stft(_inverse_stft(spectrum))
        spectrum = torch.polar(magnitudes, (consistent + MOMENTUM * (consistent - before)).angle())
        before = consistent
    return _inverse_stft(spectrum)


def _stft(waveform: torch.Tensor) -> torch.Tensor:
    """Return the spectrum, complex ``[257 x T + 1]``."""
    window = torch.hann_window(WINDOW_SAMPLES)
    return torch.stft(waveform, WINDOW_SAMPLES, HOP_SAMPLES, window=window, pad_mode="constant", return_complex=True)


def _inverse_stft(spectrum: torch.Tensor) -> torch.Tensor:
    return torch.istft(spectrum, WINDOW_SAMPLES, HOP_SAMPLES, window=torch.hann_window(WINDOW_SAMPLES))


@cache
def _mel_filters() -> torch.Tensor:
    """Return triangles that are equally wide on the mel scale, ``[257 x 64]``."""
    highest = 2595 * math.log10(1 + SAMPLE_RATE / 2 / 700)
    corners = 700 * (10 ** (torch.linspace(0, highest, MEL_COUNT + 2) / 2595) - 1)  # Hz
    # A triangle that is narrower than the distance of two frequencies would have none of them.
    bin_width = SAMPLE_RATE / WINDOW_SAMPLES
    below = torch.minimum(corners[:-2], corners[1:-1] - bin_width)
    above = torch.maximum(corners[2:], corners[1:-1] + bin_width)
    frequencies = bin_width * torch.arange(WINDOW_SAMPLES // 2 + 1)[:, None]
    rising = (frequencies - below) / (corners[1:-1] - below)
    falling = (above - frequencies) / (above - corners[1:-1])
    triangles = torch.minimum(rising, falling).clamp(min=0)
    return triangles / triangles.sum(0)
