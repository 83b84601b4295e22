"""Read recordings as the engines want them, write sound as people want it; the only user of soundfile."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import numpy as np
import soundfile
import soxr

from vtune.errors import DataError
from vtune.types import Audio, Waveform

SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".au", ".w64", ".caf"})
"""What libsndfile reads, as file name endings."""

PEAK_CEILING = 10 ** (-1 / 20)  # -1 dBFS


def seconds_of(path: Path) -> float:
    """Read a recording's length from its header. :raises DataError: it cannot be read."""
    _require_file(path)
    return seconds_in(str(path), str(path))


def seconds_in(file: str | IO[bytes], name: str) -> float:
    """Read the length of an encoded recording, open or by path. :raises DataError: it cannot be read."""
    try:
        return float(soundfile.info(file).duration)
    except (soundfile.SoundFileError, OSError, RuntimeError, ZeroDivisionError) as error:
        raise DataError(f"{name} cannot be read as audio: {_reason(error)}") from error


def read(path: Path, sample_rate: int) -> Waveform:
    """Read a whole recording as mono at ``sample_rate``, ``float32 [samples]``.

    Channels are averaged; the rate is changed by soxr's high quality filter.

    :raises DataError: unreadable, empty, or holding values that are not numbers.
    """
    _require_file(path)
    return decode(str(path), sample_rate, str(path))


def decode(file: str | IO[bytes], sample_rate: int, name: str) -> Waveform:
    """Do what ``read`` does for an encoded recording that is open. :raises DataError: as ``read``."""
    try:
        sound, rate = soundfile.read(file, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError, RuntimeError, MemoryError) as error:
        raise DataError(f"{name} cannot be read as audio: {_reason(error)}") from error
    return to_mono(sound, rate, sample_rate, name)


def to_mono(sound: np.ndarray, rate: int, sample_rate: int, name: str) -> Waveform:
    """Average channels ``[samples, channels]`` and change the rate. :raises DataError: empty or not finite."""
    if not len(sound):
        raise DataError(f"{name} holds no samples")
    if not np.isfinite(sound).all():
        raise DataError(f"{name} holds samples that are not numbers (NaN or infinity)")
    mono = sound.mean(axis=1, dtype=np.float32) if sound.ndim == 2 else sound.astype(np.float32)
    if rate != sample_rate:
        mono = soxr.resample(mono, rate, sample_rate, quality="HQ").astype(np.float32)
    return np.ascontiguousarray(mono)


def rms_dbfs(waveform: Waveform) -> float:
    """Level of the whole waveform in dB below full scale; -inf for silence."""
    power = float(np.mean(np.square(waveform, dtype=np.float64))) if len(waveform) else 0.0
    return float(10 * np.log10(power)) if power > 0 else float("-inf")


def bring_to(waveform: Waveform, loudness: float) -> Waveform:
    """Bring the RMS to ``loudness`` dBFS; where a peak would pass -1 dBFS, the gain is less. Silence stays."""
    level = rms_dbfs(waveform)
    if level == float("-inf"):
        return waveform
    peak = float(np.abs(waveform).max())
    gain = min(10 ** ((loudness - level) / 20), PEAK_CEILING / peak)
    return (waveform * np.float32(gain)).astype(np.float32)


def write_wav(path: Path, pieces: Iterable[Audio], sample_rate: int) -> float:
    """Write 16-bit PCM as pieces arrive, under a temporary name until the last one; return the seconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.partial")
    samples = 0
    try:
        with soundfile.SoundFile(
            str(aside), "w", samplerate=sample_rate, channels=1, format="WAV", subtype="PCM_16"
        ) as file:
            for piece in pieces:
                file.write(np.clip(piece.waveform, -1, 1))
                samples += len(piece.waveform)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    return samples / sample_rate


def stream_pcm(out: IO[bytes], pieces: Iterable[Audio]) -> int:
    """Write little-endian 16-bit samples to a pipe as they arrive; return how many."""
    samples = 0
    for piece in pieces:
        out.write((np.clip(piece.waveform, -1, 1) * 32767).round().astype("<i2").tobytes())
        out.flush()
        samples += len(piece.waveform)
    return samples


def stream_header(sample_rate: int) -> bytes:
    """A WAV header for sound of unknown length: sizes at their maximum, as players of pipes expect."""
    unknown = 0xFFFFFFFF
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, sample_rate, sample_rate * 2, 2, 16)
    return struct.pack("<4sI4s", b"RIFF", unknown, b"WAVE") + fmt + struct.pack("<4sI", b"data", unknown)


def _require_file(path: Path) -> None:
    # A FIFO or a device would block or never end.
    if not path.is_file():
        what = "is not a plain file" if path.exists() else "does not exist"
        raise DataError(f"{path} {what}")


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
