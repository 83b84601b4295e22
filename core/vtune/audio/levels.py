"""Measure the level of speech, and bring speech to a level without clipping."""

from __future__ import annotations

from typing import Literal

import numpy as np

from vtune.errors import VtuneError
from vtune.types import Waveform

MAX_PEAK = 10 ** (-1 / 20)
"""Largest peak of a waveform after limiting: -1 dBFS."""

LEVEL_FRAME_SECONDS = 0.02

PAUSE_MARGIN_DB = 15.9
"""A frame that is this much below the level of the speech counts as a pause (ITU-T P.56)."""

LOOK_AHEAD_SECONDS = 0.02
"""Time in which the gain of the limiter falls before a peak and rises after it: longer than a glottal period."""

Loudness = Literal["rms", "lufs"]


def rms_dbfs(waveform: Waveform) -> float:
    """Return the RMS level of the whole waveform in dBFS; -inf for silence."""
    return _decibel(float(np.mean(np.square(waveform, dtype=np.float64)))) if len(waveform) else float("-inf")


def speech_level(waveform: Waveform, sample_rate: int, loudness: Loudness = "rms") -> float:
    """Return the level of the speech without its pauses; -inf for silence.

    ``rms`` is in dBFS. Frames more than 15.9 dB below that level are left out, as in the active speech level of ITU-T
    P.56 (without its hangover); ``lufs`` is the gated loudness of ITU-R BS.1770.

    :raises VtuneError: ``lufs`` without the extra.
    """
    if not np.any(waveform):
        return float("-inf")
    if loudness == "lufs":
        return _lufs(waveform, sample_rate)
    size = max(1, min(round(sample_rate * LEVEL_FRAME_SECONDS), len(waveform)))
    frames = waveform[: len(waveform) // size * size].reshape(-1, size).astype(np.float64)
    power = np.mean(np.square(frames), axis=1)
    counted, former = np.ones(len(power), dtype=bool), -1
    # Each round leaves out more frames, so the loop ends.
    while counted.sum() != former:
        former = counted.sum()
        counted = power >= power[counted].mean() * 10 ** (-PAUSE_MARGIN_DB / 10)
    return _decibel(float(power[counted].mean()))


def bring_to(waveform: Waveform, sample_rate: int, loudness: float, kind: Loudness = "rms") -> Waveform:
    """Bring speech to a level, with peaks below -1 dBFS by ``limit``; silence stays silence.

    :param loudness: dBFS, or LUFS with the kind ``lufs``.
    :raises VtuneError: as ``speech_level``.
    """
    level = speech_level(waveform, sample_rate, kind)
    if level == float("-inf"):
        return waveform
    # In float64, for the gain of a waveform next to silence is beyond float32.
    louder = waveform.astype(np.float64) * 10 ** ((loudness - level) / 20)
    return limit(louder, sample_rate).astype(np.float32)


def limit(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """Keep peaks below -1 dBFS, by a gain that falls smoothly before each peak, so that the wave keeps its shape.

    The gain is the least that any sample within 20 ms needs, averaged over 20 ms on both sides. So no sample is louder
    than -1 dBFS, and far from peaks nothing changes.
    """
    peaks = np.abs(waveform)
    if peaks.max(initial=0) <= MAX_PEAK:
        return waveform
    from scipy.ndimage import convolve1d, minimum_filter1d

    wide = 2 * max(1, round(sample_rate * LOOK_AHEAD_SECONDS)) + 1
    needed = np.minimum(1.0, MAX_PEAK / np.maximum(peaks, MAX_PEAK))
    window = np.hanning(wide + 2)[1:-1]
    gain = convolve1d(minimum_filter1d(needed, wide, mode="nearest"), window / window.sum(), mode="nearest")
    return np.asarray(np.clip(waveform * gain, -MAX_PEAK, MAX_PEAK))  # clips what rounding leaves above the limit


def _decibel(power: float) -> float:
    return float(10 * np.log10(power)) if power > 0 else float("-inf")


def _lufs(waveform: Waveform, sample_rate: int) -> float:
    try:
        import pyloudnorm
    except ImportError as error:
        raise VtuneError("loudness in LUFS needs pyloudnorm: install vtune-tts with the extra 'loudness'") from error
    seconds = len(waveform) / sample_rate
    meter = pyloudnorm.Meter(sample_rate, block_size=min(0.4, seconds))  # it refuses what is shorter than a block
    return float(meter.integrated_loudness(waveform.astype(np.float64)))
