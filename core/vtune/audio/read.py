"""Whole recordings: their length and rate by the header, their sound as mono at any rate."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import numpy as np
import soxr

from vtune.audio.blocks import opened
from vtune.audio.downmix import Mixer
from vtune.errors import DataError
from vtune.types import Waveform


def seconds_of(path: Path) -> float:
    """Read a recording's length from its header. :raises DataError: it cannot be read, or was cut off."""
    return seconds_in(path, str(path))


def rate_of(path: Path) -> int:
    """Read a recording's samples a second from its header. :raises DataError: as ``seconds_of``."""
    return rate_in(path, str(path))


def recorded(path: Path) -> tuple[Waveform, int]:
    """Read a whole recording as mono at its own rate, and that rate in Hz. :raises DataError: as ``read``."""
    rate = rate_of(path)
    return read(path, rate), rate


def read(path: Path, sample_rate: int) -> Waveform:
    """Read a whole recording as mono at ``sample_rate``, ``float32 [samples]``.

    Channels are mixed by ``Mixer``; the rate is changed by soxr's high quality filter.

    :raises DataError: unreadable, cut off, empty, or holding values that are not numbers.
    """
    return decode(path, sample_rate, str(path))


def rate_in(file: Path | IO[bytes], name: str) -> int:
    """Read the rate of an encoded recording, open or by path. :raises DataError: as ``seconds_of``."""
    with opened(file, name) as recording:
        return recording.rate


def seconds_in(file: Path | IO[bytes], name: str) -> float:
    """Read the length of an encoded recording, open or by path. :raises DataError: as ``seconds_of``."""
    with opened(file, name) as recording:
        if recording.promised is not None:
            return recording.promised
        return sum(len(block) for block in recording.blocks()) / recording.rate


def decode(file: Path | IO[bytes], sample_rate: int, name: str) -> Waveform:
    """Do what ``read`` does for an encoded recording that is open. :raises DataError: as ``read``."""
    with opened(file, name) as recording:
        sound = np.concatenate([np.zeros((0, recording.channels), np.float32), *recording.blocks()])
        return to_mono(sound, recording.rate, sample_rate, name)


def to_mono(sound: np.ndarray, rate: int, sample_rate: int, name: str) -> Waveform:
    """Mix channels ``[samples, channels]``, change the rate, and keep within [-1, 1] by less gain.

    :raises DataError: empty or not finite.
    """
    if not len(sound):
        raise DataError(f"{name} holds no samples")
    if not np.isfinite(sound).all():
        raise DataError(f"{name} holds samples that are not numbers (NaN or infinity)")
    mono = sound.astype(np.float32)
    if sound.ndim == 2:
        mixer = Mixer(sound.shape[1])
        mixer.add(mono)
        mono = mixer.mix(mono)
    if rate != sample_rate:
        mono = soxr.resample(mono, rate, sample_rate, quality="HQ").astype(np.float32)
    # Float files may hold more than full scale, and the filter rings beyond it where a recording was clipped.
    peak = float(np.abs(mono).max(initial=0))
    return np.ascontiguousarray(mono / np.float32(peak) if peak > 1 else mono)
