"""The first pass over a recording: how loud each moment is, where speech is, how the channels hang together.

Memory: three numbers for each 10 ms (6 MB an hour), whatever the recording holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vtune import audio
from vtune.audio.segmentation.bands import BandMeter, above_noise, speech_in
from vtune.audio.segmentation.energy import Levels, decibel, stretches
from vtune.audio.segmentation.segments import FRAME, Segment, segment
from vtune.audio.segmentation.vad import VoiceMeter, with_faint_ends
from vtune.errors import DataError
from vtune.ingest.prepare.settings import Cutting

JOINED = 0.15
"""Seconds; a shorter pause is part of the word."""


@dataclass(frozen=True, slots=True)
class LevelAnalysis:
    """What one pass over a recording tells.

    :param rate: Hz; ``hop`` samples a frame; ``samples`` in all.
    :param powers: mean square of each frame; ``levels``, dB above the noise, smoothed.
    :param mask: frames of speech.
    :param noise: frames as loud as speech that are none: music, noise (only a VAD knows).
    """

    rate: int
    channels: int
    hop: int
    samples: int
    mixer: audio.Mixer
    powers: NDArray[np.float32]
    levels: Levels
    mask: NDArray[np.bool_]
    noise: NDArray[np.bool_]

    @property
    def seconds(self) -> float:
        """Length of the recording."""
        return self.samples / self.rate

    def segments(self, cutting: Cutting) -> list[Segment]:
        """Group the speech into clips."""
        wanted = cutting.wanted.scaled(FRAME * self.rate / self.hop)
        return segment(stretches(self.mask, JOINED), self.levels, wanted)


def listen(path: Path, cutting: Cutting) -> LevelAnalysis:
    """Go through a recording once. :raises DataError: it cannot be read to its end, or holds nothing."""
    with audio.opened(path) as recording:
        meter = BandMeter(recording.rate)
        voices = VoiceMeter(recording.rate) if cutting.vad else None
        mixer = audio.Mixer(recording.channels)
        samples = 0
        for block in recording.blocks():
            samples += len(block)
            mixer.add(block)
            meter.add(block)
            if voices is not None:
                voices.add(mixer.mix(block))
    if not samples:
        raise DataError(f"{path} holds no samples")
    bands = meter.bands()
    powers, levels = bands.sum(axis=1), above_noise(bands)
    if cutting.threshold is None:
        loud = speech_in(bands, levels)
    else:
        loud = decibel(powers) > _threshold(cutting.threshold, cutting.target_loudness, powers)
    mask = loud
    if voices is not None:
        mask = with_faint_ends(voices.frames(len(levels), meter.hop / recording.rate), loud)
    return LevelAnalysis(
        recording.rate, recording.channels, meter.hop, samples, mixer, powers, levels, mask, loud & ~mask
    )


def _threshold(asked: float, loudness: float, powers: NDArray[np.float32]) -> float:
    """Move a fixed threshold to where it lies in this recording, which is not at the wanted loudness yet."""
    level = float(10 * np.log10(powers.mean())) if powers.any() else loudness
    return asked + level - loudness
