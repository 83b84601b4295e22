"""Analyse a recording in a first pass: level of each frame, frames of speech, and how to mix the channels.

The level finds speech in a quiet recording at a twentieth of the cost of a network. In noise it takes the faint ends of
words for pauses, and it cannot tell music from speech: such recordings are read once more, by the network.

Memory: six numbers for each 10 ms (12 MB per hour of sound).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vtune import audio
from vtune.audio.segmentation.bands import BandMeter, above_noise, band_speech_mask
from vtune.audio.segmentation.energy import FAINT_SHARE, Levels, find_stretches, smoothed_levels, with_faint_ends
from vtune.audio.segmentation.phrases import spoken_phrases
from vtune.audio.segmentation.segments import FRAME_SECONDS, ClipLengths, Segment, Stretch, segment
from vtune.audio.segmentation.vad import VoiceMeter
from vtune.errors import DataError
from vtune.ingest.prepare.settings import CutSettings

MAX_WORD_GAP_SECONDS = 0.15
"""Seconds; a shorter pause belongs to the word."""

MIN_CLEAN_SNR_DB = 30.0
"""Speech that is less far above the noise is found by the network: its faint ends are lost in the noise."""

MIN_LEVEL_SNR_DB = 20.0
"""Below this, the level alone cuts off the ends of some words: none of 200 at 22 dB, 6 at 13 dB."""

NOISE_PAD_FACTOR = 2.0
"""In noise, clips keep twice as much of the pauses around their speech: words end later than can be measured."""

MIN_PAUSE_FRAMES = 50
"""Frames of pause that the noise is measured in: half a second."""

MAX_TAIL_FRAMES = 30
"""Frames around speech that may hold its faint ends and echo, and that the noise is not measured in."""


@dataclass(frozen=True, slots=True)
class LevelAnalysis:
    """The result of the first pass over a recording.

    :param rate: samples per second.
    :param hop: samples per frame.
    :param samples: samples in the whole recording.
    :param levels: smoothed dB above the noise of each frame, ``float32 [frames]``.
    :param mask: True for each frame of speech.
    :param noise: True for each frame that is as loud as speech but is music, noise, a click or a breath.
    :param snr: dB of the speech above the noise, from 0.5 to 4 kHz.
    :param doubtful: stretches that have the level of speech, and that may be music or breaths.
    :param by_network: the network found the speech, not the level.
    :param needs_network: the level found the speech, and the network would find it better.
    """

    rate: int
    channels: int
    hop: int
    samples: int
    mixer: audio.ChannelMixer
    levels: Levels
    mask: NDArray[np.bool_]
    noise: NDArray[np.bool_]
    snr: float
    doubtful: tuple[Stretch, ...] = ()
    by_network: bool = False
    needs_network: bool = False

    @property
    def seconds(self) -> float:
        """Length of the recording in seconds."""
        return self.samples / self.rate

    @property
    def powers(self) -> NDArray[np.float32]:
        """Power of each frame above the noise, in which hum does not hide the pauses, ``float32 [frames]``."""
        return np.power(np.float32(10), self.levels / 10)

    @property
    def is_noisy(self) -> bool:
        """Tell whether the noise hides the faint ends of words."""
        return self.snr < MIN_CLEAN_SNR_DB

    def lengths(self, settings: CutSettings) -> ClipLengths:
        """Return the wanted lengths for the frames of this recording, which need not be 10 ms, and for its noise."""
        lengths = settings.lengths.scaled(FRAME_SECONDS * self.rate / self.hop)
        return replace(lengths, pad_seconds=NOISE_PAD_FACTOR * lengths.pad_seconds) if self.is_noisy else lengths

    def segments(self, settings: CutSettings) -> list[Segment]:
        """Group the speech into segments, one for each clip."""
        return segment(find_stretches(self.mask, MAX_WORD_GAP_SECONDS), self.levels, self.lengths(settings))


def analyse_recording(path: Path, settings: CutSettings) -> LevelAnalysis:
    """Analyse a recording in one pass over its blocks, or in two if its noise asks for the network.

    :raises DataError: the recording is empty, or cannot be read to its end.
    """
    with audio.opened(path) as recording:
        meter = BandMeter(recording.rate)
        mixer = audio.ChannelMixer(recording.channels)
        samples = 0
        for block in recording.blocks():
            samples += len(block)
            mixer.add(block)
            meter.add(block)
        rate, channels = recording.rate, recording.channels
    if not samples:
        raise DataError(f"{path} holds no samples")
    bands = meter.bands()
    levels = above_noise(bands)
    if settings.threshold is None:
        faint = band_speech_mask(bands, levels, FAINT_SHARE)
        loud = band_speech_mask(bands, levels)
        phrases = spoken_phrases(loud, levels)
        mask, doubtful = with_faint_ends(phrases.speech, faint), phrases.doubtful
    else:
        powers = bands.sum(axis=1)
        faint = loud = mask = smoothed_levels(powers) > _threshold(settings.threshold, settings.target_loudness, powers)
        doubtful = ()
    result = LevelAnalysis(
        rate, channels, meter.hop, samples, mixer, levels, mask, loud & ~mask, signal_to_noise(bands, mask), doubtful
    )
    needs_network = bool(len(levels)) and settings.threshold is None and (result.is_noisy or bool(doubtful))
    if (settings.vad is True and len(levels)) or (needs_network and settings.has_network):
        mask = with_faint_ends(_voiced_frames(path, result), faint)
        result = replace(result, mask=mask, noise=loud & ~mask, doubtful=(), by_network=True)
    else:
        result = replace(result, needs_network=needs_network)
    return result


def _voiced_frames(path: Path, analysis: LevelAnalysis) -> NDArray[np.bool_]:
    """Return which frames the network takes for speech, bool [frames]."""
    with audio.opened(path) as recording:
        voices = VoiceMeter(recording.rate)
        for block in recording.blocks():
            voices.add(analysis.mixer.mix(block))
    return voices.frames(len(analysis.levels), analysis.hop / analysis.rate, pause_frames(analysis.mask))


def pause_frames(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which frames are far enough from speech to hold none of its faint ends, bool [frames]."""
    near = np.convolve(mask, np.ones(2 * MAX_TAIL_FRAMES + 1), "full")[MAX_TAIL_FRAMES:-MAX_TAIL_FRAMES]
    return near < 0.5


def signal_to_noise(bands: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    """Return how many dB the speech lies above the noise between 0.5 and 4 kHz, where hum does not disturb.

    The noise is the median of the pauses, or the faintest hundredth of a recording without pauses.

    :param bands: mean square of each frame in each band, float32 [frames, 4].
    :param mask: True for each frame of speech.
    """
    if not mask.any():
        return 0.0
    powers = bands[:, :-1].sum(axis=1, dtype=np.float64)
    pauses = powers[pause_frames(mask)]
    noise = np.median(pauses) if len(pauses) >= MIN_PAUSE_FRAMES else np.percentile(powers, 1)
    return float(10 * np.log10(max(powers[mask].mean() - noise, 1e-12) / max(noise, 1e-12)))


def _threshold(threshold: float, loudness: float, powers: NDArray[np.float32]) -> float:
    """Return the fixed threshold in dBFS of this recording, which is not at the target loudness yet."""
    level = float(10 * np.log10(powers.mean())) if powers.any() else loudness
    return threshold + level - loudness
