"""Tell phrases of speech from breaths, clicks, steady noise and music, by how their level moves.

A phrase is what lies between two pauses of half a second. Speech rises and falls with its syllables, by 10 dB and more
several times a second, and comes near the speech level of the recording. A breath or a click is faint or over within a
tenth of a second. A room, an engine or applause hardly moves within a second, and music moves little.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vtune.audio.segmentation.energy import Levels, find_stretches, speech_level
from vtune.audio.segmentation.segments import FRAME_SECONDS, Stretch

PHRASE_PAUSE_SECONDS = 0.5

MAX_LOUD_DEPTH_DB = 10.0
"""A frame is loud if its level is at most this far below the speech level of the recording."""

MIN_LOUD_SECONDS = 0.1
"""Loud seconds of the shortest spoken phrase. Clicks as loud as speech have 0.05 s, single words 0.19 s and more."""

MIN_QUIET_SECONDS = 1.2
"""Seconds of a phrase without loud frames that is taken for a whisper. A breath is shorter."""

MIN_QUIET_MOVEMENT_DB = 4.0
"""Movement of such a phrase: whispers have 4.7 dB and more, the noise of a room at most 2 dB."""

MAX_NEIGHBOUR_SECONDS, MIN_NEIGHBOUR_SECONDS = 1.5, 0.2
"""A faint phrase of at least 0.2 s belongs to speech that is at most 1.5 s away: the faint end of a sentence."""

MAX_STEADY_MOVEMENT_DB, MIN_STEADY_SECONDS = 1.8, 1.0
"""A phrase that moves less, for at least this long, is a machine or applause: speech in noise has 2.9 dB and more."""

MAX_MUSIC_MOVEMENT_DB, MIN_MUSIC_SECONDS = 2.8, 3.0
"""A phrase that moves less, for at least this long, may be music (1.9 to 2.6 dB) or speech in noise."""


@dataclass(frozen=True, slots=True)
class Phrases:
    """The phrases of a recording, by what they are.

    :param speech: True for each frame of a spoken phrase, bool [frames].
    :param doubtful: stretches that count as speech, and that a network should listen to: they may be music or breaths.
    """

    speech: NDArray[np.bool_]
    doubtful: tuple[Stretch, ...]


def spoken_phrases(mask: NDArray[np.bool_], levels: Levels) -> Phrases:
    """Return the speech of a mask, without phrases that are breaths, clicks or steady noise.

    :param mask: frames that are louder than the noise.
    :param levels: dB above the noise of each frame.
    """
    spoken, doubtful, faint = np.zeros_like(mask), [], []
    loud = speech_level(levels) - MAX_LOUD_DEPTH_DB if len(levels) else 0.0
    for start, end in find_stretches(mask, PHRASE_PAUSE_SECONDS):
        phrase = levels[start:end]
        seconds, moving = FRAME_SECONDS * int(mask[start:end].sum()), _movement(phrase)
        if FRAME_SECONDS * int((phrase >= loud).sum()) >= MIN_LOUD_SECONDS:
            is_speech = seconds < MIN_STEADY_SECONDS or moving > MAX_STEADY_MOVEMENT_DB
            is_doubtful = seconds >= MIN_MUSIC_SECONDS and moving < MAX_MUSIC_MOVEMENT_DB
        else:
            is_speech = is_doubtful = seconds >= MIN_QUIET_SECONDS and moving >= MIN_QUIET_MOVEMENT_DB
            if not is_speech and seconds >= MIN_NEIGHBOUR_SECONDS:
                faint.append((start, end))
        if is_speech:
            spoken[start:end] = mask[start:end]
            if is_doubtful:
                doubtful.append((start, end))
    reach = round(MAX_NEIGHBOUR_SECONDS / FRAME_SECONDS)
    for start, end in [(start, end) for start, end in faint if spoken[max(0, start - reach) : end + reach].any()]:
        spoken[start:end] = mask[start:end]
    return Phrases(spoken, tuple(doubtful))


def _movement(levels: Levels) -> float:
    """Return how far levels lie from their mean over a second, as a standard deviation in dB."""
    width = min(round(1 / FRAME_SECONDS), len(levels))
    padded = np.pad(levels.astype(np.float64), (width // 2, width - 1 - width // 2), mode="edge")
    return float(np.std(levels - np.convolve(padded, np.full(width, 1 / width), "valid")))
