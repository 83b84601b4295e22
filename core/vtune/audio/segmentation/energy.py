"""Find speech by its level alone, with a threshold that follows the noise floor of the recording.

Each 10 ms frame has a level, after a pre-emphasis that removes rumble and hum, smoothed over 50 ms. The floor is a low
percentile of the levels around each frame, the speech level is a high percentile, and the threshold lies between them.
So one threshold works for a whisper in a quiet room and for a loud voice in a crowd.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtune.audio.segmentation.framing import Framer, mean_square
from vtune.audio.segmentation.segments import FRAME_SECONDS, Stretch

Levels = NDArray[np.float32]

PRE_EMPHASIS = 0.97

SMOOTHING_FRAMES = 5

FLOOR_WINDOW_FRAMES = 3_000
"""Frames around each frame whose levels give the floor: 30 s."""

FLOOR_STEP_FRAMES = 500
FLOOR_PERCENTILE, SPEECH_PERCENTILE = 10, 95
"""Percentiles."""

THRESHOLD_SHARE = 0.25
"""Position of the threshold between the floor (0) and the speech level (1)."""

MIN_RISE_DB = 3.0
"""Least difference in dB between speech and floor."""

SILENCE_DB = -120.0
"""Level in dB that is used for digital silence."""

MIN_SPEECH_DBFS = -85.0
"""Fainter frames are never speech: the rounding of 16 bits alone has -95 dB with dither."""

MIN_SPEECH_FRAMES = 6
"""A shorter sound is a click, not speech."""


class LevelMeter:
    """Measures a recording block by block: one level for each frame of ``hop`` samples, after pre-emphasis.

    The powers of the channels are added, so that opposite phases do not cancel.
    """

    def __init__(self, sample_rate: int) -> None:
        self._framer = Framer(sample_rate)
        self.hop = self._framer.hop
        self._last: Any = np.float32(0)
        self._powers: list[np.ndarray] = []

    def add(self, block: NDArray[np.float32]) -> None:
        """Take samples ``[n, channels]``."""
        emphasised = self._framer.add(block)
        if not len(emphasised):
            return
        last = emphasised[-1].copy()
        emphasised[1:] -= np.float32(PRE_EMPHASIS) * emphasised[:-1]
        emphasised[0] -= np.float32(PRE_EMPHASIS) * self._last
        self._last = last
        self._powers.append(mean_square(emphasised, self._framer.size))

    def levels(self) -> Levels:
        """Return the smoothed level of each frame in dB, float32 [frames]."""
        return smoothed_levels(np.concatenate([np.zeros(0), *self._powers]))


def smoothed_levels(powers: NDArray[np.float32]) -> Levels:
    """Return the levels of frames in dB, float32 [frames], smoothed over 50 ms.

    :param powers: the mean square of each frame.
    """
    smooth = (
        np.convolve(powers, np.ones(SMOOTHING_FRAMES) / SMOOTHING_FRAMES, "same")
        if len(powers) >= SMOOTHING_FRAMES
        else powers
    )
    return np.asarray(10 * np.log10(smooth + 10 ** (SILENCE_DB / 10)), dtype=np.float32)


def speech(levels: Levels) -> NDArray[np.bool_]:
    """Return which frames hold speech, bool [frames]."""
    floor, loud = floor_and_speech(levels)
    return np.asarray(
        levels > np.maximum(floor + np.maximum(THRESHOLD_SHARE * (loud - floor), MIN_RISE_DB), MIN_SPEECH_DBFS)
    )


def floor_and_speech(levels: Levels) -> tuple[Levels, Levels]:
    """Return the noise floor and the speech level of each frame in dB, each float32 [frames].

    They are two percentiles of the levels 15 s before and after the frame, computed every 5 s and interpolated.
    """
    if not len(levels):
        return levels, levels
    centres = np.arange(0, len(levels), FLOOR_STEP_FRAMES)
    percentiles = []
    for centre in centres:
        # Every fifth frame is enough, as levels are smoothed over five. A partition costs a third of np.percentile.
        window = levels[
            max(0, centre - FLOOR_WINDOW_FRAMES // 2) : centre + FLOOR_WINDOW_FRAMES // 2 + 1 : SMOOTHING_FRAMES
        ]
        ranks = [round((len(window) - 1) * share / 100) for share in (FLOOR_PERCENTILE, SPEECH_PERCENTILE)]
        percentiles.append(np.partition(window, ranks)[ranks])
    frames = np.arange(len(levels))
    floor, loud = (np.interp(frames, centres, values).astype(np.float32) for values in np.stack(percentiles, axis=1))
    return floor, loud


def find_stretches(mask: Iterable[bool] | NDArray[np.bool_], pause: float) -> list[Stretch]:
    """Return the stretches of a speech mask, without clicks, joined over pauses shorter than ``pause`` seconds."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(mask, dtype=np.int8), [0]])))
    stretches: list[Stretch] = []
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if end - start < MIN_SPEECH_FRAMES:
            continue
        if stretches and (start - stretches[-1][1]) * FRAME_SECONDS < pause:
            stretches[-1] = (stretches[-1][0], end)
        else:
            stretches.append((start, end))
    return stretches
