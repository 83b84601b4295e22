"""Analyse a recording in a first pass: level of each frame, frames of speech, and how to mix the channels.

Memory: three numbers for each 10 ms (6 MB per hour of sound).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vtune import audio
from vtune.audio.segmentation.bands import BandMeter, above_noise, band_speech_mask
from vtune.audio.segmentation.energy import Levels, find_stretches, smoothed_levels
from vtune.audio.segmentation.segments import FRAME_SECONDS, Segment, segment
from vtune.audio.segmentation.vad import VoiceMeter, with_faint_ends
from vtune.errors import DataError
from vtune.ingest.prepare.settings import CutSettings

MAX_WORD_GAP_SECONDS = 0.15
"""Seconds; a shorter pause belongs to the word."""


@dataclass(frozen=True, slots=True)
class LevelAnalysis:
    """The result of the first pass over a recording.

    :param rate: samples per second.
    :param hop: samples per frame.
    :param samples: samples in the whole recording.
    :param powers: mean square of each frame, ``float32 [frames]``.
    :param levels: smoothed dB above the noise of each frame, ``float32 [frames]``.
    :param mask: True for each frame of speech.
    :param noise: True for each frame that is as loud as speech but is music or noise; only a VAD finds them.
    """

    rate: int
    channels: int
    hop: int
    samples: int
    mixer: audio.ChannelMixer
    powers: NDArray[np.float32]
    levels: Levels
    mask: NDArray[np.bool_]
    noise: NDArray[np.bool_]

    @property
    def seconds(self) -> float:
        """Length of the recording in seconds."""
        return self.samples / self.rate

    def segments(self, settings: CutSettings) -> list[Segment]:
        """Group the speech into segments, one for each clip."""
        lengths = settings.lengths.scaled(FRAME_SECONDS * self.rate / self.hop)
        return segment(find_stretches(self.mask, MAX_WORD_GAP_SECONDS), self.levels, lengths)


def analyse_recording(path: Path, settings: CutSettings) -> LevelAnalysis:
    """Analyse a recording in one pass over its blocks.

    :raises DataError: the recording is empty, or cannot be read to its end.
    """
    with audio.opened(path) as recording:
        meter = BandMeter(recording.rate)
        voices = VoiceMeter(recording.rate) if settings.vad else None
        mixer = audio.ChannelMixer(recording.channels)
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
    if settings.threshold is None:
        loud = band_speech_mask(bands, levels)
    else:
        loud = smoothed_levels(powers) > _threshold(settings.threshold, settings.target_loudness, powers)
    mask = loud
    if voices is not None:
        mask = with_faint_ends(voices.frames(len(levels), meter.hop / recording.rate), loud)
    return LevelAnalysis(
        recording.rate, recording.channels, meter.hop, samples, mixer, powers, levels, mask, loud & ~mask
    )


def _threshold(threshold: float, loudness: float, powers: NDArray[np.float32]) -> float:
    """Return the fixed threshold in dBFS of this recording, which is not at the target loudness yet."""
    level = float(10 * np.log10(powers.mean())) if powers.any() else loudness
    return threshold + level - loudness
