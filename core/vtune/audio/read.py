"""Read whole recordings: length and rate from the header, the sound as mono at any sample rate."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import numpy as np
import soxr

from vtune.audio.blocks import opened
from vtune.audio.downmix import ChannelMixer
from vtune.errors import DataError
from vtune.types import Waveform


def seconds_of(path: Path) -> float:
    """Read a recording's length from its header. :raises DataError: the recording cannot be read, or was cut off."""
    return seconds_in(path, str(path))


def stated_seconds(path: Path) -> float:
    """Read a recording's length from its header; 0 if the recording cannot be read."""
    try:
        return seconds_of(path)
    except (DataError, OSError):
        return 0.0


def rate_of(path: Path) -> int:
    """Read a recording's sample rate in Hz from its header. :raises DataError: as ``seconds_of``."""
    return rate_in(path, str(path))


def recorded(path: Path) -> tuple[Waveform, int]:
    """Read a whole recording as mono at its own sample rate; return ``float32 [samples]`` and the rate in Hz.

    :raises DataError: as ``read``.
    """
    rate = rate_of(path)
    return read(path, rate), rate


def read(path: Path, sample_rate: int) -> Waveform:
    """Read a whole recording as mono at ``sample_rate``, ``float32 [samples]``.

    Channels are mixed by ``ChannelMixer``; the rate is changed by soxr's high quality filter.

    :raises DataError: the recording is unreadable, cut off or empty, or samples are not numbers.
    """
    return decode(path, sample_rate, str(path))


def rate_in(file: Path | IO[bytes], name: str) -> int:
    """Read the sample rate in Hz of an open file or a path. :raises DataError: as ``seconds_of``."""
    with opened(file, name) as recording:
        return recording.rate


def seconds_in(file: Path | IO[bytes], name: str) -> float:
    """Read the length in seconds of an open file or a path. :raises DataError: as ``seconds_of``."""
    with opened(file, name) as recording:
        if recording.header_seconds is not None:
            return recording.header_seconds
        return sum(len(block) for block in recording.blocks()) / recording.rate


def decode(file: Path | IO[bytes], sample_rate: int, name: str) -> Waveform:
    """Read an open file as ``read`` reads a path. :raises DataError: as ``read``."""
    with opened(file, name) as recording:
        sound = np.concatenate([np.zeros((0, recording.channels), np.float32), *recording.blocks()])
        return to_mono(sound, recording.rate, sample_rate, name)


def to_mono(sound: np.ndarray, rate: int, sample_rate: int, name: str) -> Waveform:
    """Mix ``[samples, channels]`` to mono ``float32 [samples]`` at ``sample_rate``, scaled to at most 1.

    :raises DataError: there are no samples, or samples are not finite.
    """
    if not len(sound):
        raise DataError(f"{name} holds no samples")
    if not np.isfinite(sound).all():
        raise DataError(f"{name} holds samples that are not numbers (NaN or infinity)")
    mono = sound.astype(np.float32)
    if sound.ndim == 2:
        mixer = ChannelMixer(sound.shape[1])
        mixer.add(mono)
        mono = mixer.mix(mono)
    if rate != sample_rate:
        mono = soxr.resample(mono, rate, sample_rate, quality="HQ").astype(np.float32)
    # Float files may exceed full scale, and the filter rings beyond full scale where a recording was clipped.
    peak = float(np.abs(mono).max(initial=0))
    return np.ascontiguousarray(mono / np.float32(peak) if peak > 1 else mono)
