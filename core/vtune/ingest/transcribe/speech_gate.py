"""Pass only speech on to the recogniser, because recognisers write words for silence as well.

Speech is found by its level alone: it is above a level that every voice reaches, and a little above the noise floor
around it, which steady noise never is. This threshold is lower than the one for cutting recordings
(``segmentation.energy``): words that the recogniser makes up can be found later, words that it never heard cannot.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vtune.audio.segmentation import energy
from vtune.audio.segmentation.segments import FRAME_SECONDS, ClipLengths, Stretch, segment
from vtune.contract.recognisers import MAX_CHUNK_SECONDS, RECOGNISER_SAMPLE_RATE
from vtune.types import Waveform

MIN_SPEECH_SECONDS = 0.4
"""Seconds of speech in a recording; for less, recognisers make up a word."""

MIN_LEVEL_DB = -75.0
"""Level after pre-emphasis. Speech at an RMS of -60 dBFS is above it, the last bits of 16-bit silence are below -90."""

MIN_RISE_DB = 1.5
"""Level above the noise floor. Steady noise stays below 1; speech that is 10 dB above the noise is mostly higher."""

MEDIAN_FRAMES = 11
"""Frames of the running median of the levels, so that a click does not count as speech."""

MAX_SYLLABLE_GAP_SECONDS = 0.2
"""Seconds between syllables that still count as speech."""

MAX_PAUSE_SECONDS = 2.0
"""Seconds; a longer pause is shortened to the pads at its two ends."""

PAD_SECONDS = 0.5
"""Seconds of a pause that are kept on each side of speech."""

_FRAME_SAMPLES = round(FRAME_SECONDS * RECOGNISER_SAMPLE_RATE)


@dataclass(frozen=True, slots=True)
class GatedSpeech:
    """The speech of a recording.

    :param seconds: seconds of speech.
    :param pieces: sound for the recogniser, ``MAX_CHUNK_SECONDS`` or less each; empty if nobody speaks.
    """

    seconds: float
    pieces: tuple[Waveform, ...]


def gate_speech(sound: Waveform) -> GatedSpeech:
    """Find the speech in mono sound at 16 kHz, ``float32 [samples]``."""
    meter = energy.LevelMeter(RECOGNISER_SAMPLE_RATE)
    meter.add(sound[:, None])
    levels = meter.levels()
    stretches = energy.find_stretches(_mask(levels), MAX_SYLLABLE_GAP_SECONDS)
    seconds = FRAME_SECONDS * sum(end - start for start, end in stretches)
    if seconds < MIN_SPEECH_SECONDS:
        return GatedSpeech(seconds, ())
    all_speech = _cut_piece(sound, stretches, 0, len(levels))
    if len(all_speech) <= MAX_CHUNK_SECONDS * RECOGNISER_SAMPLE_RATE:
        return GatedSpeech(seconds, (all_speech,))
    parts = segment(
        stretches,
        levels,
        ClipLengths(
            MAX_CHUNK_SECONDS / 2, MAX_CHUNK_SECONDS, max_pause_seconds=MAX_PAUSE_SECONDS, pad_seconds=PAD_SECONDS
        ),
    )
    ends = [0, *(_midpoint(a.stretches[-1][1], b.stretches[0][0]) for a, b in itertools.pairwise(parts))]
    bounds = zip(ends, [*ends[1:], len(levels)], strict=True)
    pieces = (_cut_piece(sound, part.stretches, *bound) for part, bound in zip(parts, bounds, strict=True))
    return GatedSpeech(seconds, tuple(pieces))


def _mask(levels: energy.Levels) -> NDArray[np.bool_]:
    padded = (
        np.pad(levels, MEDIAN_FRAMES // 2, mode="edge")
        if len(levels)
        else np.full(MEDIAN_FRAMES, MIN_LEVEL_DB, dtype=np.float32)
    )
    steady = np.median(np.lib.stride_tricks.sliding_window_view(padded, MEDIAN_FRAMES), axis=1)
    return np.asarray((steady > energy.floor_and_speech(steady)[0] + MIN_RISE_DB) & (steady > MIN_LEVEL_DB))


def _midpoint(end: int, start: int) -> int:
    return (end + start) // 2


def _cut_piece(sound: Waveform, stretches: Sequence[Stretch], low: int, high: int) -> Waveform:
    """Return the sound from the first to the last stretch with its pads, within the frames ``low`` to ``high``."""
    pad = round(PAD_SECONDS / FRAME_SECONDS)
    kept: list[list[int]] = []
    for start, end in stretches:
        if kept and (start - kept[-1][1]) * FRAME_SECONDS < MAX_PAUSE_SECONDS:
            kept[-1][1] = end
        else:
            kept.append([start, end])
    cuts = [
        sound[max(low, start - pad) * _FRAME_SAMPLES : min(high, end + pad) * _FRAME_SAMPLES] for start, end in kept
    ]
    return np.ascontiguousarray(np.concatenate(cuts))
