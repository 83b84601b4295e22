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

from vtune.audio.segmentation.framing import Framer, mean_square
from vtune.audio.segmentation.segments import FRAME, Stretch

Levels = NDArray[np.float32]

EMPHASIS = 0.97

SMOOTHED = 5
"""Frames."""

AROUND = 3_000
"""Frames that the floor is taken from: 30 s."""

STEP = 500
FLOOR, SPEECH = 10, 95
"""Percentiles."""

SHARE = 0.25
"""Where between floor and speech the threshold lies."""

LEAST = 3.0
"""dB that speech stands above the floor, at least."""

SILENCE = -120.0
"""dB that stands for digital silence."""

FAINTEST = -85.0
"""dB; what is fainter is the rounding of 16 bits (-95 dB with dither), never speech."""

BLIP = 6
"""Frames; what is shorter is a click, not speech."""


class LevelMeter:
    """Takes a recording block by block and keeps one level a frame of ``hop`` samples, emphasised.

    Channels are added by power, so that opposite phases do not cancel.
    """

    def __init__(self, sample_rate: int) -> None:
        self._framer = Framer(sample_rate)
        self.hop = self._framer.hop
        self._last: Any = np.float32(0)
        self._powers: list[np.ndarray] = []

    def add(self, block: NDArray[np.float32]) -> None:
        """Take samples ``[n, channels]``."""
        sharp = self._framer.add(block)
        if not len(sharp):
            return
        last = sharp[-1].copy()
        sharp[1:] -= np.float32(EMPHASIS) * sharp[:-1]
        sharp[0] -= np.float32(EMPHASIS) * self._last
        self._last = last
        self._powers.append(mean_square(sharp, self._framer.size))

    def levels(self) -> Levels:
        """Return dB of all frames, smoothed."""
        return decibel(np.concatenate([np.zeros(0), *self._powers]))


def decibel(powers: NDArray[np.float32]) -> Levels:
    """Return dB of frames, smoothed over 50 ms."""
    smooth = np.convolve(powers, np.ones(SMOOTHED) / SMOOTHED, "same") if len(powers) >= SMOOTHED else powers
    return np.asarray(10 * np.log10(smooth + 10 ** (SILENCE / 10)), dtype=np.float32)


def speech(levels: Levels) -> NDArray[np.bool_]:
    """Tell the frames that hold speech, by a threshold that follows the floor."""
    floor, loud = floor_and_speech(levels)
    return np.asarray(levels > np.maximum(floor + np.maximum(SHARE * (loud - floor), LEAST), FAINTEST))


def floor_and_speech(levels: Levels) -> tuple[Levels, Levels]:
    """Two percentiles of the levels 15 s to either side of each frame, followed every 5 s: the noise, the speech."""
    if not len(levels):
        return levels, levels
    centres = np.arange(0, len(levels), STEP)
    found = []
    for centre in centres:
        # Smoothed levels say in every fifth frame what the others say. A partition costs a third of np.percentile.
        window = levels[max(0, centre - AROUND // 2) : centre + AROUND // 2 + 1 : SMOOTHED]
        places = [round((len(window) - 1) * share / 100) for share in (FLOOR, SPEECH)]
        found.append(np.partition(window, places)[places])
    every = np.arange(len(levels))
    floor, loud = (np.interp(every, centres, values).astype(np.float32) for values in np.stack(found, axis=1))
    return floor, loud


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
