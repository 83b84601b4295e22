"""Measure one recording in one pass, block by block; an hour of sound needs only the memory for its levels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from vtune import audio
from vtune.curation.doctor.bandwidth import bandwidth
from vtune.curation.doctor.edge_levels import EdgeLevels, EdgeMeter
from vtune.curation.doctor.fingerprints import Fingerprint, make_fingerprint
from vtune.curation.doctor.hum import Hum, HumMeter
from vtune.curation.doctor.peaks import PeakMeter, Peaks
from vtune.curation.doctor.recording_openers import OpenRecording
from vtune.curation.doctor.spectra import Spectra
from vtune.curation.doctor.speech_levels import SpeechLevels, find_speech
from vtune.errors import DataError

BLOCK_SAMPLES = 1 << 16
"""Samples that are measured at once, because readers may return a thousand samples or a whole clip."""

MAX_AMPLITUDE = 2.0**15
"""Largest amplitude, where full scale is 1; float files may hold more, but that is not sound."""


@dataclass(frozen=True, slots=True)
class Measures:
    """All measures of one recording.

    :param sound: hash of the decoded samples, which is the same for a WAV file and a FLAC copy of it.
    :param bandwidth: highest frequency of the sound in Hz.
    """

    seconds: float
    rate: int
    channels: int
    sound: str
    peaks: Peaks
    speech: SpeechLevels
    edges: EdgeLevels
    hum: Hum
    bandwidth: float
    fingerprint: Fingerprint


def measure(recording: OpenRecording) -> Measures:
    """Measure an open recording.

    :raises DataError: the recording is empty, or cannot be read to its end.
    """
    rate, channels = recording.rate, recording.channels
    mixer, peaks, edges = audio.ChannelMixer(channels), PeakMeter(channels), EdgeMeter(rate)
    spectra, hum = Spectra(rate), HumMeter(rate)
    digest, samples = sha256(f"{rate} Hz, {channels} channels".encode()), 0
    for block in even_blocks(recording.blocks(), channels):
        samples += len(block)
        # Rounded to 16 bits, so that differences in a decoder's last bit do not change the hash.
        digest.update(np.rint(np.clip(block, -MAX_AMPLITUDE, MAX_AMPLITUDE) * 32768).astype("<i4").tobytes())
        peaks.add(block)
        mixer.add(block)
        mono = mixer.mix(block)
        edges.add(mono)
        spectra.add(mono)
        hum.add(mono)
    if not samples:
        raise DataError("the recording holds no samples")
    spectra.end()
    return Measures(
        samples / rate, rate, channels, digest.hexdigest(), peaks.peaks(),
        find_speech(spectra.levels, spectra.bands), edges.levels(), hum.hum(),
        bandwidth(spectra.centres, spectra.histogram, rate), make_fingerprint(spectra.marks),
    )  # fmt: skip


def even_blocks(blocks: Iterator[NDArray[np.float32]], channels: int) -> Iterator[NDArray[np.float32]]:
    """Regroup blocks ``[samples, channels]`` so that each block except the last has ``BLOCK_SAMPLES`` samples."""
    waiting: list[NDArray[np.float32]] = []
    count = 0
    for block in blocks:
        waiting.append(block)
        count += len(block)
        while count >= BLOCK_SAMPLES:
            joined = np.concatenate(waiting)
            yield joined[:BLOCK_SAMPLES]
            waiting, count = [joined[BLOCK_SAMPLES:]], count - BLOCK_SAMPLES
    if count:
        yield np.concatenate(waiting)
