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
FLOOR_PERCENTILE, SPEECH_PERCENTILE, LOUDEST_PERCENTILE = 10, 95, 98
"""Percentiles of the levels in a window: its floor, its speech, and its loudest 0.6 s."""

RECORDING_PERCENTILE = 90
"""Percentile of the loudest levels of all windows that gives the speech level of the recording.

In a recording with pauses of two minutes, a quarter of the windows hold speech.
"""

MAX_FADE_DB = 20.0
"""Largest distance in dB between the speech of a window and that of the recording.

A window with less holds no speech, or a whisper, which is still found: its level only has to pass a quarter of the way
from the floor to the speech level.
"""

THRESHOLD_SHARE = 0.25
"""Position of the threshold between the floor (0) and the speech level (1)."""

FAINT_SHARE = 0.12
"""Position of the threshold for the faint beginnings and ends of words, beside louder speech."""

MAX_FAINT_FRAMES = 30
"""Largest number of frames of faint speech before and after the speech that was found."""

MIN_RISE_DB = 3.0
"""Smallest difference in dB between speech and floor."""

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


def speech(levels: Levels, share: float = THRESHOLD_SHARE) -> NDArray[np.bool_]:
    """Return which frames hold speech, bool [frames].

    :param share: position of the threshold between the floor (0) and the speech level (1).
    """
    floor, loud = floor_and_speech(levels)
    return np.asarray(levels > np.maximum(floor + np.maximum(share * (loud - floor), MIN_RISE_DB), MIN_SPEECH_DBFS))


def floor_and_speech(levels: Levels) -> tuple[Levels, Levels]:
    """Return the noise floor and the speech level of each frame in dB, each float32 [frames].

    They are two percentiles of the levels 15 s before and after the frame, computed every 5 s and interpolated. In a
    long pause, where the window holds no speech, the speech level follows that of the recording.
    """
    if not len(levels):
        return levels, levels
    floor, loud, loudest = _window_levels(levels)
    loud = np.maximum(loud, np.percentile(loudest, RECORDING_PERCENTILE) - MAX_FADE_DB)
    frames, centres = np.arange(len(levels)), np.arange(len(loud)) * FLOOR_STEP_FRAMES
    return np.interp(frames, centres, floor).astype(np.float32), np.interp(frames, centres, loud).astype(np.float32)


def speech_level(levels: Levels) -> float:
    """Return the speech level of a recording in dB, however long its pauses are; it needs one frame or more."""
    return float(np.percentile(_window_levels(levels)[2], RECORDING_PERCENTILE))


def _window_levels(levels: Levels) -> NDArray[np.float32]:
    """Return the floor, the speech and the loudest level of the windows around every fifth second, [3, windows]."""
    percentiles = []
    for centre in range(0, len(levels), FLOOR_STEP_FRAMES):
        # Every fifth frame is enough, as levels are smoothed over five. A partition costs a third of np.percentile.
        window = levels[
            max(0, centre - FLOOR_WINDOW_FRAMES // 2) : centre + FLOOR_WINDOW_FRAMES // 2 + 1 : SMOOTHING_FRAMES
        ]
        shares = (FLOOR_PERCENTILE, SPEECH_PERCENTILE, LOUDEST_PERCENTILE)
        ranks = [round((len(window) - 1) * share / 100) for share in shares]
        percentiles.append(np.partition(window, ranks)[ranks])
    return np.stack(percentiles, axis=1)


def with_faint_ends(is_speech: NDArray[np.bool_], loud: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Widen the speech that was found over the neighbouring frames that are loud enough, bool [frames].

    :param loud: which of the frames have at least the level of faint speech.
    """
    wide = is_speech.copy()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], is_speech.astype(np.int8), [0]])))
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        before, after = loud[max(0, start - MAX_FAINT_FRAMES) : start][::-1], loud[end : end + MAX_FAINT_FRAMES]
        wide[start - _run_length(before) : start] = True
        wide[end : end + _run_length(after)] = True
    return wide


def _run_length(mask: NDArray[np.bool_]) -> int:
    """Return how many frames are true before the first false one."""
    return len(mask) if mask.all() else int(np.argmin(mask))


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
