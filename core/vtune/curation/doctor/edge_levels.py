"""Measure the level of the first and the last 5 ms of a recording, which tell whether a cut lies within a word."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vtune.audio.segmentation.energy import SILENCE_DB

EDGE_SECONDS = 0.005
"""Seconds of an edge: about one period of a voice. A longer edge (32 ms) reaches into a word that begins right after a
tight but correct cut: 28 % of the edges 10 ms outside the sound of a clip counted as cut off, with 5 ms none do."""


@dataclass(frozen=True, slots=True)
class EdgeLevels:
    """Levels of the edges of a recording in dBFS, without rumble.

    :param start: level of the first 5 ms.
    :param stop: level of the last 5 ms.
    """

    start: float = SILENCE_DB
    stop: float = SILENCE_DB


class EdgeMeter:
    """Keeps the first and the last 5 ms of mono samples that arrive block by block.

    :param rate: samples per second.
    """

    def __init__(self, rate: int) -> None:
        self._size = max(4, round(rate * EDGE_SECONDS))
        self._first = self._last = np.zeros(0, dtype=np.float32)

    def add(self, mono: NDArray[np.float32]) -> None:
        """Add mono samples, ``float32 [samples]``."""
        if len(self._first) < self._size:
            self._first = np.concatenate([self._first, mono[: self._size - len(self._first)]])
        self._last = np.concatenate([self._last, mono[-self._size :]])[-self._size :]

    def levels(self) -> EdgeLevels:
        """Return the levels of both edges."""
        return EdgeLevels(_level(self._first), _level(self._last))


def _level(samples: NDArray[np.float32]) -> float:
    """Return the level of samples after removing their straight trend: rumble and an offset look like one in 5 ms."""
    if len(samples) < 2:
        return SILENCE_DB
    times = np.arange(len(samples)) - (len(samples) - 1) / 2
    waveform = samples.astype(np.float64) - samples.mean(dtype=np.float64)
    waveform -= times * (times @ waveform) / (times @ times)
    return float(10 * np.log10(np.mean(np.square(waveform)) + 10 ** (SILENCE_DB / 10)))
