"""Measure mains hum: steady spectral lines at 50 or 60 Hz and their multiples."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vtune.audio.segmentation.energy import SILENCE_DB

MAINS_HZ = 50, 60
"""Frequencies of the mains."""

LINE_COUNT = 4
"""Lines that are measured: the frequency of the mains and its multiples up to the fourth."""

WINDOW_SECONDS, HOP_SECONDS = 0.4, 0.2
"""Length and step of a window: long enough to distinguish 50 Hz from 60 Hz."""

BESIDE_SHARE = 0.25
"""Distance of the comparison frequencies from a line, as a share of the fundamental."""

STEADY_PERCENTILE = 20
"""Percentile over time: it keeps sound that is always present, and drops a voice that crosses a line."""

MIN_LINE_RISE_DB = 10.0
"""dB by which a line must exceed its comparison frequencies."""

MAX_LINE_SWING_DB = 4.0
"""dB between the soft and the loud fifth of a line: hum is steady, a voice is not."""

MIN_WINDOWS = 4
"""Smallest number of windows for a measurement."""


@dataclass(frozen=True, slots=True)
class Hum:
    """Mains hum: its frequency in Hz (0 if there is no hum), and its level in dBFS."""

    hertz: int = 0
    level: float = SILENCE_DB


class HumMeter:
    """Measures the hum of a recording block by block; memory grows by 120 bytes per second of sound."""

    def __init__(self, rate: int) -> None:
        self._size, self._hop = round(rate * WINDOW_SECONDS), round(rate * HOP_SECONDS)
        self._waves = _waves(rate)
        self._rest = np.zeros(0, dtype=np.float32)
        self._powers: list[NDArray[np.float32]] = []

    def add(self, mono: NDArray[np.float32]) -> None:
        """Add mono samples, ``float32 [samples]``."""
        self._rest = np.concatenate([self._rest, mono])
        count = (len(self._rest) - self._size) // self._hop + 1
        if count <= 0:
            return
        frames = np.lib.stride_tricks.sliding_window_view(self._rest, self._size)[: count * self._hop : self._hop]
        products = frames @ self._waves
        half = products.shape[1] // 2
        self._powers.append(products[:, :half] ** 2 + products[:, half:] ** 2)
        self._rest = self._rest[count * self._hop :]

    def hum(self) -> Hum:
        """Return the hum of the stronger of the two mains frequencies."""
        powers = np.concatenate(self._powers) if self._powers else np.zeros((0, 1))
        if len(powers) < MIN_WINDOWS:
            return Hum()
        soft, loud = np.percentile(powers, (STEADY_PERCENTILE, 100 - STEADY_PERCENTILE), axis=0)
        count = len(MAINS_HZ) * LINE_COUNT
        lines = soft[:count].reshape(len(MAINS_HZ), LINE_COUNT)
        beside = soft[count:].reshape(len(MAINS_HZ), LINE_COUNT, 2).max(axis=2)
        is_line = lines > np.maximum(beside * 10 ** (MIN_LINE_RISE_DB / 10), 10 ** (SILENCE_DB / 10))
        is_line &= loud[:count].reshape(len(MAINS_HZ), LINE_COUNT) < lines * 10 ** (MAX_LINE_SWING_DB / 10)
        power = np.where(is_line, lines, 0).sum(axis=1)
        best = int(np.argmax(power))
        # A single line may be a steady voice, unless it is the fundamental of the mains.
        if not is_line[best, 0] and np.count_nonzero(is_line[best]) < 2:
            return Hum()
        return Hum(MAINS_HZ[best], float(10 * np.log10(power[best])))


@lru_cache(maxsize=4)
def _waves(rate: int) -> NDArray[np.float32]:
    """Return cosines and sines, ``float32 [samples, 2 x frequencies]``: lines, then comparison frequencies."""
    lines = [mains * line for mains in MAINS_HZ for line in range(1, LINE_COUNT + 1)]
    beside = [
        mains * (line + side)
        for mains in MAINS_HZ
        for line in range(1, LINE_COUNT + 1)
        for side in (-BESIDE_SHARE, BESIDE_SHARE)
    ]
    times = np.arange(round(rate * WINDOW_SECONDS)) / rate
    window = np.hanning(len(times) + 2)[1:-1]
    # With this scale, the square of a product is the mean square of a sine with that frequency.
    waves = np.exp(-2j * np.pi * np.outer(times, [*lines, *beside])) * window[:, None] * (np.sqrt(2) / window.sum())
    return np.concatenate([waves.real, waves.imag], axis=1).astype(np.float32)
