"""Compute mel spectrograms for drawing."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from vtune.types import Waveform

WINDOW_SECONDS = 0.032
"""Sound under one spectrum, rounded to the nearest power of two in samples."""

SILENCE_POWER = 1e-12
"""Power that is added, so that silence has a level of -120 dB."""


def mel_levels(waveform: Waveform, sample_rate: int, step: int, bands: int, highest: float) -> np.ndarray:
    """Return levels ``[ceil(samples / step), bands]`` in dB: one row for each step in time, low bands first.

    Bands are evenly spaced in mel from 0 Hz to ``highest``; a level is the mean power of the band's bins with a
    Hann window, where a bin with a sine of full scale has 0 dB.

    :param step: samples from row to row.
    :param highest: Hz, at most half the sample rate.
    """
    size = window_samples(sample_rate)
    padded = np.pad(waveform, (size // 2, size))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[: len(waveform) : step]
    window = np.hanning(size).astype(np.float32)
    mel = np.linspace(0, np.log1p(highest / 700), bands + 1)
    edges = (700 * np.expm1(mel) / sample_rate * size).astype(int)
    power = np.abs(np.fft.rfft(frames * (window * 2 / window.sum()), axis=1)) ** 2
    each = [power[:, low : max(low + 1, high)].mean(axis=1) for low, high in pairwise(edges)]
    return np.asarray(10 * np.log10(np.stack(each, axis=1) + SILENCE_POWER))


def window_samples(sample_rate: int) -> int:
    """Return the number of samples under one spectrum."""
    return int(1 << max(6, round(np.log2(WINDOW_SECONDS * sample_rate))))
