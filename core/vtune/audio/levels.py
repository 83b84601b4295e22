"""How loud speech is, and bringing it to a level without clipping a peak."""

from __future__ import annotations

from typing import Literal

import numpy as np

from vtune.errors import VtuneError
from vtune.types import Waveform

PEAK_CEILING = 10 ** (-1 / 20)
"""-1 dBFS."""

FRAME = 0.02
"""Seconds."""

MARGIN = 15.9
"""dB under the level of speech at which a frame counts as a pause (ITU-T P.56)."""

LOOK_AHEAD = 0.02
"""Seconds that the limiter's gain takes to fall before a peak, and to rise behind it: longer than a glottal period."""

Loudness = Literal["rms", "lufs"]


def rms_dbfs(waveform: Waveform) -> float:
    """Level of the whole waveform in dB below full scale; -inf for silence."""
    return _decibel(float(np.mean(np.square(waveform, dtype=np.float64)))) if len(waveform) else float("-inf")


def speech_level(waveform: Waveform, sample_rate: int, loudness: Loudness = "rms") -> float:
    """Level of the speech alone, pauses left out; -inf for silence.

    ``rms`` is in dBFS and counts the frames less than 15.9 dB under the level of those that count, as the active speech
    level of ITU-T P.56 does (without its hangover); ``lufs`` is the gated loudness of ITU-R BS.1770.

    :raises VtuneError: ``lufs`` without the extra.
    """
    if not np.any(waveform):
        return float("-inf")
    if loudness == "lufs":
        return _lufs(waveform, sample_rate)
    size = max(1, min(round(sample_rate * FRAME), len(waveform)))
    frames = waveform[: len(waveform) // size * size].reshape(-1, size).astype(np.float64)
    power = np.mean(np.square(frames), axis=1)
    counted, former = np.ones(len(power), dtype=bool), -1
    # Each round leaves out more, so it ends.
    while counted.sum() != former:
        former = counted.sum()
        counted = power >= power[counted].mean() * 10 ** (-MARGIN / 10)
    return _decibel(float(power[counted].mean()))


def bring_to(waveform: Waveform, sample_rate: int, loudness: float, kind: Loudness = "rms") -> Waveform:
    """Bring the speech to a level, peaks held under -1 dBFS by ``limit``. Silence stays.

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
    """Hold peaks under -1 dBFS: a gain that falls ahead of each, smoothly, so that the wave keeps its form.

    The least gain that any sample within 20 ms needs, averaged over 20 ms to either side: so no sample gets more than
    it needs, and far from peaks nothing changes.
    """
    peaks = np.abs(waveform)
    if peaks.max(initial=0) <= PEAK_CEILING:
        return waveform
    from scipy.ndimage import convolve1d, minimum_filter1d

    wide = 2 * max(1, round(sample_rate * LOOK_AHEAD)) + 1
    needed = np.minimum(1.0, PEAK_CEILING / np.maximum(peaks, PEAK_CEILING))
    window = np.hanning(wide + 2)[1:-1]
    gain = convolve1d(minimum_filter1d(needed, wide, mode="nearest"), window / window.sum(), mode="nearest")
    return np.asarray(np.clip(waveform * gain, -PEAK_CEILING, PEAK_CEILING))  # the last rounding


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
