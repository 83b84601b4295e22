"""All measures of one recording in one pass, block by block: an hour of sound takes no more memory than its levels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from vtune import audio
from vtune.curation.doctor.bandwidth import bandwidth
from vtune.curation.doctor.fingerprints import Fingerprint, fingerprint
from vtune.curation.doctor.hum import Hum, HumMeter
from vtune.curation.doctor.peaks import PeakMeter, Peaks
from vtune.curation.doctor.recordings import Sound
from vtune.curation.doctor.spectra import Spectra
from vtune.curation.doctor.speech_levels import Speech, find_speech
from vtune.errors import DataError

BLOCK = 1 << 16
"""Samples that are measured at a time: readers may give a thousand, or a whole clip."""

LOUDEST = 2.0**15
"""Times full scale; float files may hold more, and it is no sound."""


@dataclass(frozen=True, slots=True)
class Measures:
    """What one recording is like.

    :param sound: hash of the decoded samples: the same in a WAV and in the FLAC made of it.
    :param bandwidth: Hz.
    """

    seconds: float
    rate: int
    channels: int
    sound: str
    peaks: Peaks
    speech: Speech
    hum: Hum
    bandwidth: float
    fingerprint: Fingerprint


def measure(recording: Sound) -> Measures:
    """Measure an open recording. :raises DataError: it cannot be read to its end."""
    rate, channels = recording.rate, recording.channels
    mixer, peaks, spectra, hum = audio.Mixer(channels), PeakMeter(channels), Spectra(rate), HumMeter(rate)
    digest, samples = sha256(f"{rate} Hz, {channels} channels".encode()), 0
    for block in even_blocks(recording.blocks(), channels):
        samples += len(block)
        # Rounded to 16 bits, so that a decoder's last bit makes no other sound.
        digest.update(np.rint(np.clip(block, -LOUDEST, LOUDEST) * 32768).astype("<i4").tobytes())
        peaks.add(block)
        mixer.add(block)
        mono = mixer.mix(block)
        spectra.add(mono)
        hum.add(mono)
    if not samples:
        raise DataError("the recording holds no samples")
    spectra.end()
    return Measures(
        samples / rate, rate, channels, digest.hexdigest(), peaks.peaks(),
        find_speech(spectra.levels, spectra.bands), hum.hum(),
        bandwidth(spectra.centres, spectra.histogram, rate), fingerprint(spectra.marks),
    )  # fmt: skip


def even_blocks(blocks: Iterator[NDArray[np.float32]], channels: int) -> Iterator[NDArray[np.float32]]:
    """Join and part blocks ``[n, channels]`` so that each but the last has ``BLOCK`` samples."""
    waiting: list[NDArray[np.float32]] = []
    count = 0
    for block in blocks:
        waiting.append(block)
        count += len(block)
        while count >= BLOCK:
            joined = np.concatenate(waiting)
            yield joined[:BLOCK]
            waiting, count = [joined[BLOCK:]], count - BLOCK
    if count:
        yield np.concatenate(waiting)
