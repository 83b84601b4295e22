"""Measure the level of the speech and of the pauses, and the ends of the speech, from one level for each 10 ms."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vtune.audio.segmentation import energy
from vtune.audio.segmentation.bands import above_noise, band_speech_mask
from vtune.audio.segmentation.segments import FRAME_SECONDS

NOISE_PERCENTILE = 2
"""Percentile of the levels that is taken as the noise floor: tightly cut clips have no pauses except in stops."""

NOISE_BIAS_DB = 1.0
"""dB between this percentile of steady noise and its mean."""

GATED_DBFS = -100.0
"""Level below which sound was muted or made by a program, and does not show the noise behind the speech."""

WORD_FADE_DB, WORD_ABOVE_NOISE_DB = 20.0, 10.0
"""A word extends to its ends until its level is this far below the speech, or this little above the noise."""

MAX_WORD_GAP_SECONDS = 0.1
"""Seconds; shorter pauses are the stops within consonants."""

MIN_SPEECH_DBFS = -70.0
"""Level below which no sound counts as speech."""

MIN_SPEECH_SECONDS = 0.1
"""Seconds; shorter sounds are clicks or coughs."""


@dataclass(frozen=True, slots=True)
class SpeechLevels:
    """Measures of the speech in a recording.

    :param seconds: seconds of speech; if it is 0, the other values mean nothing.
    :param level: level of the speech in dBFS.
    :param noise: level in dBFS while nobody speaks, or of the softest moments if somebody always speaks.
    :param lead: seconds before the first word.
    :param tail: seconds after the last word.
    :param pause: seconds of the longest pause between words.
    """

    seconds: float = 0.0
    level: float = energy.SILENCE_DB
    noise: float = energy.SILENCE_DB
    lead: float = 0.0
    tail: float = 0.0
    pause: float = 0.0


def find_speech(levels: NDArray[np.float32], bands: NDArray[np.float32]) -> SpeechLevels:
    """Find the speech in a recording, and measure it.

    :param levels: level of each frame in dBFS, ``float32 [frames]``.
    :param bands: power of each frame in the speech bands, ``float32 [frames, 5]``.
    """
    is_speech = band_speech_mask(bands, above_noise(bands))
    stretches = energy.find_stretches(is_speech, MAX_WORD_GAP_SECONDS)
    if sum(end - start for start, end in stretches) * FRAME_SECONDS < MIN_SPEECH_SECONDS:
        return SpeechLevels()
    mask = np.zeros(len(levels), dtype=bool)
    for start, end in stretches:
        mask[start:end] = True
    power = 10 ** (levels.astype(np.float64) / 10)
    noise = (
        float(np.percentile(levels[levels > GATED_DBFS], NOISE_PERCENTILE)) + NOISE_BIAS_DB
        if (levels > GATED_DBFS).any()
        else energy.SILENCE_DB
    )
    loud = float(power[mask].mean())
    level = 10 * np.log10(max(loud - 10 ** (noise / 10), loud / 10))
    if level < MIN_SPEECH_DBFS:
        return SpeechLevels()
    # A final "t" is too short for a stretch, and a final "n" is too soft; both belong to their word.
    sounding = is_speech | (levels > max(level - WORD_FADE_DB, noise + WORD_ABOVE_NOISE_DB))
    lasting = np.flatnonzero(sounding[1:] & sounding[:-1])
    first, last = min(int(lasting[0]), stretches[0][0]), max(int(lasting[-1]) + 2, stretches[-1][1])
    pauses = [after[0] - before[1] for before, after in pairwise(stretches)]
    return SpeechLevels(
        seconds=FRAME_SECONDS * float(mask.sum()),
        level=float(level),
        noise=noise,
        lead=FRAME_SECONDS * first,
        tail=FRAME_SECONDS * (len(levels) - last),
        pause=FRAME_SECONDS * max(pauses, default=0),
    )
