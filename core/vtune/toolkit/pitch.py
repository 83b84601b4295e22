"""Measure the fundamental frequency (F0) of a clip, frame by frame.

For each frame, the autocorrelation of the windowed sound says how well each period fits (Boersma, 1993); a path through
all frames then prefers periods that fit, and small steps between frames (Viterbi).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vtune.types import Waveform

MIN_F0_HZ, MAX_F0_HZ = 60.0, 500.0
"""Hz between which voices lie."""

BINS_PER_OCTAVE = 48
"""Resolution of the path; the peak of the autocorrelation between two bins is then found by a parabola."""

WINDOW_SECONDS = 0.05
"""Three periods of the lowest pitch."""

VOICED_CORRELATION = 0.45
"""Autocorrelation from which a frame is more likely voiced than not."""

SILENCE_DB = 40.0
"""A frame this far below the loudest of its clip is never voiced."""

_STEP_COST = 0.12  # for a step of one semitone between frames
_VOICING_COST = 0.35  # for a change between voiced and unvoiced
_OCTAVE_COST = 0.02  # a longer period that fits as well has to be better by this for each octave
_MAX_STEP_BINS = 10


def measure_f0(waveform: Waveform, sample_rate: int, hop_samples: int) -> NDArray[np.float32]:
    """Return the F0 of each frame in Hz, float32 ``[samples // hop_samples]``; 0 where there is no voice.

    Frame ``k`` has its centre in the middle of the samples from ``k * hop_samples`` to ``(k + 1) * hop_samples``.
    """
    count = len(waveform) // hop_samples
    if count == 0:
        return np.zeros(0, np.float32)
    frames = _frames(np.asarray(waveform, np.float64), sample_rate, hop_samples, count)
    bins = _bin_frequencies()
    correlations = _autocorrelations(frames, sample_rate)  # [T, lags]
    scores = _at_lags(correlations, sample_rate / bins)  # [T, bins]
    scores = scores - _OCTAVE_COST * np.log2(bins[-1] / bins)
    scores[_is_silent(frames)] = -1.0
    path = _best_path(scores)
    f0 = np.zeros(count, np.float32)
    voiced = path >= 0
    f0[voiced] = _refine(correlations[voiced], bins[path[voiced]], sample_rate)
    return f0


@lru_cache(maxsize=1)
def _bin_frequencies() -> NDArray[np.float64]:
    count = int(np.log2(MAX_F0_HZ / MIN_F0_HZ) * BINS_PER_OCTAVE) + 1
    return MIN_F0_HZ * 2.0 ** (np.arange(count) / BINS_PER_OCTAVE)


def _frames(waveform: NDArray[np.float64], sample_rate: int, hop_samples: int, count: int) -> NDArray[np.float64]:
    """Cut the sound into frames without their mean, ``[T, window]``."""
    size = round(WINDOW_SECONDS * sample_rate)
    before = size // 2 - hop_samples // 2
    padded = np.pad(waveform, (before, size))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop_samples][:count]
    return np.asarray(frames - frames.mean(axis=1, keepdims=True))


def _is_silent(frames: NDArray[np.float64]) -> NDArray[np.bool_]:
    power = np.square(frames).mean(axis=1)
    return np.asarray(power <= power.max() * 10 ** (-SILENCE_DB / 10) + 1e-12)


def _autocorrelations(frames: NDArray[np.float64], sample_rate: int) -> NDArray[np.float64]:
    """Return the autocorrelation of each frame without the window's own, 1 at lag 0, ``[T, lags]``."""
    size = frames.shape[1]
    window = np.hanning(size + 2)[1:-1]
    fft_size = 1 << int(np.ceil(np.log2(2 * size)))
    lags = int(sample_rate / MIN_F0_HZ) + 2

    def correlate(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        spectrum = np.fft.rfft(rows, fft_size)
        return np.asarray(np.fft.irfft(np.square(np.abs(spectrum)))[..., :lags])

    correlations = correlate(frames * window)
    own = correlate(window)
    return np.asarray(correlations / np.maximum(correlations[:, :1], 1e-12) / (own / own[0]))


def _at_lags(correlations: NDArray[np.float64], lags: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the greatest autocorrelation within half a bin of each lag, ``[T, bins]``."""
    half = 2.0 ** (0.5 / BINS_PER_OCTAVE)
    first = np.ceil(lags / half).astype(int)
    last = np.maximum(np.floor(lags * half).astype(int), first)
    columns = [correlations[:, low : high + 1].max(axis=1) for low, high in zip(first, last, strict=True)]
    return np.stack(columns, axis=1)


def _best_path(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the bin of each frame on the best path, -1 for unvoiced, ``[T]``."""
    count, bins = scores.shape
    step = _STEP_COST * 12 / BINS_PER_OCTAVE
    steps = np.arange(-_MAX_STEP_BINS, _MAX_STEP_BINS + 1)
    came_from = np.empty((count, bins + 1), np.int64)
    total = np.append(scores[0], VOICED_CORRELATION)
    for frame in range(1, count):
        padded = np.pad(total[:bins], _MAX_STEP_BINS, constant_values=-np.inf)
        options = np.lib.stride_tricks.sliding_window_view(padded, len(steps)) - step * np.abs(steps)
        choice = options.argmax(axis=1)
        stay = options[np.arange(bins), choice]
        start = total[bins] - _VOICING_COST
        came_from[frame, :bins] = np.where(stay >= start, np.arange(bins) + steps[choice], bins)
        loudest = int(total[:bins].argmax())
        stops = total[loudest] - _VOICING_COST
        came_from[frame, bins] = bins if total[bins] >= stops else loudest
        unvoiced = max(total[bins], stops) + VOICED_CORRELATION
        total = np.append(np.maximum(stay, start) + scores[frame], unvoiced)
    path = np.empty(count, np.int64)
    path[-1] = int(total.argmax())
    for frame in range(count - 1, 0, -1):
        path[frame - 1] = came_from[frame, path[frame]]
    return np.where(path == bins, -1, path)


def _refine(correlations: NDArray[np.float64], f0: NDArray[np.float64], sample_rate: int) -> NDArray[np.float64]:
    """Move each F0 in Hz to the peak of the autocorrelation near its period."""
    rows = np.arange(len(f0))
    reach = np.arange(-3, 4)
    around = np.clip(np.round(sample_rate / f0).astype(int)[:, None] + reach, 1, correlations.shape[1] - 2)
    peak = around[rows, correlations[rows[:, None], around].argmax(axis=1)]
    before, at, after = (correlations[rows, peak + offset] for offset in (-1, 0, 1))
    curvature = before - 2 * at + after
    shift = np.where(curvature < -1e-9, 0.5 * (before - after) / np.minimum(curvature, -1e-9), 0.0)
    return np.asarray(sample_rate / (peak + np.clip(shift, -0.5, 0.5)))


def fill_voiceless(f0: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return F0 in Hz with voiceless frames between their neighbours, on a line of log F0; all 0 if none is voiced.

    ``[0, 100, 0, 400]`` becomes ``[100, 100, 200, 400]``.
    """
    voiced = np.flatnonzero(f0 > 0)
    if len(voiced) == 0:
        return np.zeros_like(f0)
    return np.exp(np.interp(np.arange(len(f0)), voiced, np.log(f0[voiced]))).astype(np.float32)
