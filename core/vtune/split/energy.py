"""Where speech is, by level alone: a threshold that follows the recording's own noise floor.

Levels are taken of 10 ms frames after a pre-emphasis that takes rumble and hum away, smoothed over 50 ms. The floor is
a low percentile of the levels around each moment, the speech a high one, and the threshold lies a share of the way
between them: so it holds for a whisper in a quiet room and for a loud voice in a crowd.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtune.split.segments import FRAME, Stretch

Levels = NDArray[np.float32]

EMPHASIS = 0.97
BAND = 8_000
"""Hz that the sound is brought down to before its levels are taken, by averaging neighbours."""

SMOOTHED = 5
"""Frames."""

AROUND = 3_000
"""Frames that the floor is taken from: 30 s."""

STEP = 500
FLOOR, SPEECH = 10, 95
"""Percentiles."""

SHARE = 0.35
"""Where between floor and speech the threshold lies."""

LEAST = 4.0
"""dB that speech stands above the floor, at least."""

SILENCE = -120.0
"""dB that stands for digital silence."""

FAINTEST = -85.0
"""dB; what is fainter is the rounding of 16 bits (-95 dB with dither), never speech."""

BLIP = 6
"""Frames; what is shorter is a click, not speech."""


class LevelMeter:
    """Takes a recording block by block and keeps one level a frame of ``hop`` samples, 10 ms as near as that goes.

    Channels are added by power, so that opposite phases do not cancel.
    """

    def __init__(self, sample_rate: int) -> None:
        self._down = max(1, sample_rate // BAND)
        self._size = max(1, round(sample_rate * FRAME / self._down))
        self.hop = self._down * self._size
        self._rest: np.ndarray | None = None
        self._last: Any = np.float32(0)
        self._powers: list[np.ndarray] = []
        self._sharp: list[np.ndarray] = []

    def add(self, block: NDArray[np.float32]) -> None:
        """Take samples ``[n, channels]``."""
        block = block if self._rest is None else np.concatenate([self._rest, block])
        whole = len(block) // (self._down * self._size) * self._down * self._size
        self._rest = block[whole:]
        if not whole:
            return
        apart = block[:whole].reshape(-1, self._down, block.shape[1])
        kept = apart[:, 0].copy()
        for place in range(1, self._down):  # three strided sums are faster than a mean over an axis of three
            kept += apart[:, place]
        kept /= np.float32(self._down)
        self._powers.append(self._mean_square(kept))
        last = kept[-1].copy()
        kept[1:] -= np.float32(EMPHASIS) * kept[:-1]
        kept[0] -= np.float32(EMPHASIS) * self._last
        self._last = last
        self._sharp.append(self._mean_square(kept))

    def powers(self) -> NDArray[np.float64]:
        """Return the mean square of each frame, without emphasis."""
        return np.concatenate([np.zeros(0), *self._powers])

    def levels(self) -> Levels:
        """Return dB of all frames, emphasised and smoothed."""
        return decibel(np.concatenate([np.zeros(0), *self._sharp]))

    def _mean_square(self, sound: NDArray[np.float32]) -> NDArray[np.float32]:
        frames = sound.reshape(-1, self._size * sound.shape[1])
        return np.asarray(np.einsum("ij,ij->i", frames, frames) / np.float32(frames.shape[1]))


def decibel(powers: NDArray[np.float64]) -> Levels:
    """Return dB of frames, smoothed over 50 ms."""
    smooth = np.convolve(powers, np.ones(SMOOTHED) / SMOOTHED, "same") if len(powers) >= SMOOTHED else powers
    return np.asarray(10 * np.log10(smooth + 10 ** (SILENCE / 10)), dtype=np.float32)


def speech(levels: Levels, threshold: float | None = None) -> NDArray[np.bool_]:
    """Tell the frames that hold speech.

    :param threshold: dB of a fixed threshold; None follows the floor.
    """
    if threshold is not None or not len(levels):
        return levels > (threshold or 0.0)
    floor, loud = around(levels, FLOOR), around(levels, SPEECH)
    return np.asarray(levels > np.maximum(floor + np.maximum(SHARE * (loud - floor), LEAST), FAINTEST))


def around(levels: Levels, percentile: float) -> Levels:
    """A percentile of the levels 15 s to either side of each frame, followed every 5 s."""
    centres = np.arange(0, max(len(levels), 1), STEP)
    # Smoothed levels say in every fifth frame what the others say.
    windows = (levels[max(0, c - AROUND // 2) : c + AROUND // 2 + 1 : SMOOTHED] for c in centres)
    values = [np.percentile(window, percentile) for window in windows]
    return np.asarray(np.interp(np.arange(len(levels)), centres, values), dtype=np.float32)


def stretches(mask: Iterable[bool] | NDArray[np.bool_], pause: float) -> list[Stretch]:
    """Return the stretches of a mask, without blips, joined over pauses shorter than ``pause`` seconds."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(mask, dtype=np.int8), [0]])))
    found: list[Stretch] = []
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if end - start < BLIP:
            continue
        if found and (start - found[-1][1]) * FRAME < pause:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found
