"""Mains hum: lines at 50 or 60 Hz and their multiples that stand still under the speech."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vtune.audio.segmentation.energy import SILENCE

MAINS = 50, 60
"""Hz."""

LINES = 4
"""The mains' frequency and its multiples up to the fourth."""

WINDOW, HOP = 0.4, 0.2
"""Seconds: long enough to tell 50 from 60 Hz."""

BESIDE = 0.25
"""Share of the fundamental that the places beside a line are away from it."""

STEADY = 20
"""Percentile over time: what sounds all the time, not the voice that crosses a line."""

STANDS_OUT = 10.0
"""dB above the places beside it that make it a line."""

SWING = 4.0
"""dB that a line may swing between its soft and its loud fifth: mains do not, voices do."""

LEAST = 4
"""Windows."""


@dataclass(frozen=True, slots=True)
class Hum:
    """The mains' frequency in Hz (0 where there is no hum), and its level in dBFS."""

    hertz: int = 0
    level: float = SILENCE


class HumMeter:
    """Takes a recording block by block; memory grows by 120 bytes a second."""

    def __init__(self, rate: int) -> None:
        self._size, self._hop = round(rate * WINDOW), round(rate * HOP)
        self._waves = _waves(rate)
        self._rest = np.zeros(0, dtype=np.float32)
        self._powers: list[NDArray[np.float32]] = []

    def add(self, mono: NDArray[np.float32]) -> None:
        """Take samples ``[n]``."""
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
        """Return the stronger of the two mains."""
        powers = np.concatenate(self._powers) if self._powers else np.zeros((0, 1))
        if len(powers) < LEAST:
            return Hum()
        steady, often = np.percentile(powers, (STEADY, 100 - STEADY), axis=0)
        count = len(MAINS) * LINES
        lines = steady[:count].reshape(len(MAINS), LINES)
        beside = steady[count:].reshape(len(MAINS), LINES, 2).max(axis=2)
        there = lines > np.maximum(beside * 10 ** (STANDS_OUT / 10), 10 ** (SILENCE / 10))
        there &= often[:count].reshape(len(MAINS), LINES) < lines * 10 ** (SWING / 10)
        power = np.where(there, lines, 0).sum(axis=1)
        best = int(np.argmax(power))
        # One line may be a steady voice; the fundamental of the mains is none.
        if not there[best, 0] and np.count_nonzero(there[best]) < 2:
            return Hum()
        return Hum(MAINS[best], float(10 * np.log10(power[best])))


@lru_cache(maxsize=4)
def _waves(rate: int) -> NDArray[np.float32]:
    """Cosines and sines ``[samples, 2 x places]``: the lines, then what lies beside them."""
    lines = [mains * line for mains in MAINS for line in range(1, LINES + 1)]
    beside = [mains * (line + side) for mains in MAINS for line in range(1, LINES + 1) for side in (-BESIDE, BESIDE)]
    times = np.arange(round(rate * WINDOW)) / rate
    window = np.hanning(len(times) + 2)[1:-1]
    # So scaled, the square of a product is the mean square of a sine of that frequency.
    waves = np.exp(-2j * np.pi * np.outer(times, [*lines, *beside])) * window[:, None] * (np.sqrt(2) / window.sum())
    return np.concatenate([waves.real, waves.imag], axis=1).astype(np.float32)
