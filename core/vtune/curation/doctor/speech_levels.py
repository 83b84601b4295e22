"""How loud the speech is, how quiet the pauses, and what the ends are like, from one level each 10 ms."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vtune.audio.segmentation import energy
from vtune.audio.segmentation.bands import above_noise, speech_in
from vtune.audio.segmentation.segments import FRAME

QUIET = 2
"""Percentile of the levels that is taken for the noise floor: tightly cut clips have hardly any pauses but stops."""

BIAS = 1.0
"""dB that this percentile of steady noise lies under its mean."""

GATED = -100.0
"""dBFS; what is softer was muted or made by a program, and says nothing of the noise under the speech."""

FADED, AUDIBLE = 20.0, 10.0
"""dB under the speech, and above the noise, to which a word goes on at its ends."""

JOINED = 0.1
"""Seconds; shorter pauses are the stops of consonants."""

INAUDIBLE = -70.0
"""dBFS; what is softer is no speech, whatever stands out of it."""

LEAST_SPEECH = 0.1
"""Seconds; less is a click or a cough."""


@dataclass(frozen=True, slots=True)
class Speech:
    """What is spoken in a recording.

    :param seconds: of speech; 0 where there is none, and then the rest says nothing.
    :param level: dBFS of the speech.
    :param noise: dBFS of what sounds when nobody speaks, or of the softest moments where somebody always does.
    :param lead: seconds before the first word; ``tail`` behind the last; ``pause`` the longest between.
    :param start: dB of the first 32 ms above the level of the speech; ``stop`` of the last.
    """

    seconds: float = 0.0
    level: float = energy.SILENCE
    noise: float = energy.SILENCE
    lead: float = 0.0
    tail: float = 0.0
    pause: float = 0.0
    start: float = energy.SILENCE
    stop: float = energy.SILENCE


def find_speech(levels: NDArray[np.float32], bands: NDArray[np.float32]) -> Speech:
    """Tell speech from pauses.

    :param levels: dBFS of each frame; ``bands``, its power in bands.
    """
    heard = speech_in(bands, above_noise(bands))
    found = energy.stretches(heard, JOINED)
    if sum(end - start for start, end in found) * FRAME < LEAST_SPEECH:
        return Speech()
    mask = np.zeros(len(levels), dtype=bool)
    for start, end in found:
        mask[start:end] = True
    power = 10 ** (levels.astype(np.float64) / 10)
    noise = float(np.percentile(levels[levels > GATED], QUIET)) + BIAS if (levels > GATED).any() else energy.SILENCE
    loud = float(power[mask].mean())
    level = 10 * np.log10(max(loud - 10 ** (noise / 10), loud / 10))
    if level < INAUDIBLE:
        return Speech()
    # A last "t" is too short for a stretch, and a last "n" too soft; both are part of their word.
    sounding = heard | (levels > max(level - FADED, noise + AUDIBLE))
    lasting = np.flatnonzero(sounding[1:] & sounding[:-1])
    first, last = min(int(lasting[0]), found[0][0]), max(int(lasting[-1]) + 2, found[-1][1])
    pauses = [after[0] - before[1] for before, after in pairwise(found)]
    return Speech(
        seconds=FRAME * float(mask.sum()),
        level=float(level),
        noise=noise,
        lead=FRAME * first,
        tail=FRAME * (len(levels) - last),
        pause=FRAME * max(pauses, default=0),
        start=float(levels[0] - level),
        stop=float(levels[-1] - level),
    )
