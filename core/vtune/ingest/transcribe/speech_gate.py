"""The gate ahead of the recogniser: only speech passes, for recognisers write words for silence too.

Speech is told by its level alone: above a level that no voice is under, and a little above the floor around it, which
noise that does not change never is. The line lies lower than where recordings are cut (``split.energy``): words that
are made up can be told later, words that were never heard cannot.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vtune.audio.segmentation import energy
from vtune.audio.segmentation.segments import FRAME, Stretch, Wanted, segment
from vtune.ingest.transcribe.recogniser import LONGEST, RATE
from vtune.types import Waveform

LEAST = 0.4
"""Seconds of speech; of less, recognisers make up a word."""

FAINT = -75.0
"""dB after pre-emphasis. Speech at an RMS of -60 dBFS is above it, the last bits of 16-bit silence are under -90."""

RISE = 1.5
"""dB above the floor. Steady noise stays under 1; speech that stands 10 dB out of noise is mostly above."""

STEADY = 11
"""Frames that the median of levels is taken over, so that a click is none."""

GAP = 0.2
"""Seconds between syllables that count as speech."""

PAUSE = 2.0
"""Seconds; longer pauses are shortened to their two pads."""

PAD = 0.5
"""Seconds of the pause that are kept on each side of speech."""

_HOP = round(FRAME * RATE)


@dataclass(frozen=True, slots=True)
class Spoken:
    """The speech of a recording.

    :param seconds: of speech.
    :param pieces: the sound to be heard, each of ``LONGEST`` seconds at most; none where nobody speaks.
    """

    seconds: float
    pieces: tuple[Waveform, ...]


def spoken(sound: Waveform) -> Spoken:
    """Find the speech in mono sound at 16 kHz."""
    meter = energy.LevelMeter(RATE)
    meter.add(sound[:, None])
    levels = meter.levels()
    stretches = energy.stretches(_mask(levels), GAP)
    seconds = FRAME * sum(end - start for start, end in stretches)
    if seconds < LEAST:
        return Spoken(seconds, ())
    whole = _cut(sound, stretches, 0, len(levels))
    if len(whole) <= LONGEST * RATE:
        return Spoken(seconds, (whole,))
    parts = segment(stretches, levels, Wanted(LONGEST / 2, LONGEST, inner=PAUSE, pad=PAD))
    ends = [0, *(_between(a.stretches[-1][1], b.stretches[0][0]) for a, b in itertools.pairwise(parts))]
    bounds = zip(ends, [*ends[1:], len(levels)], strict=True)
    pieces = (_cut(sound, part.stretches, *bound) for part, bound in zip(parts, bounds, strict=True))
    return Spoken(seconds, tuple(pieces))


def _mask(levels: energy.Levels) -> NDArray[np.bool_]:
    padded = np.pad(levels, STEADY // 2, mode="edge") if len(levels) else np.full(STEADY, FAINT, dtype=np.float32)
    steady = np.median(np.lib.stride_tricks.sliding_window_view(padded, STEADY), axis=1)
    return np.asarray((steady > energy.floor_and_speech(steady)[0] + RISE) & (steady > FAINT))


def _between(end: int, start: int) -> int:
    return (end + start) // 2


def _cut(sound: Waveform, stretches: Sequence[Stretch], low: int, high: int) -> Waveform:
    """Return the sound from the first stretch to the last with its pads, never beyond ``low`` and ``high``."""
    pad = round(PAD / FRAME)
    kept: list[list[int]] = []
    for start, end in stretches:
        if kept and (start - kept[-1][1]) * FRAME < PAUSE:
            kept[-1][1] = end
        else:
            kept.append([start, end])
    cuts = [sound[max(low, start - pad) * _HOP : min(high, end + pad) * _HOP] for start, end in kept]
    return np.ascontiguousarray(np.concatenate(cuts))
