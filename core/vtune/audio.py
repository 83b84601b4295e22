"""Read recordings as the engines want them, write sound as people want it; the only user of soundfile."""

from __future__ import annotations

import os
import re
import shutil
import struct
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO

import numpy as np
import soundfile
import soxr

from vtune.errors import DataError
from vtune.types import Audio, Waveform

SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".au", ".w64", ".caf"})
"""What libsndfile reads, as file name endings."""

FOREIGN_SUFFIXES = frozenset({".m4a", ".mp4", ".aac", ".wma", ".webm", ".amr", ".mka"})
"""Recordings that libsndfile does not read; named, so that they are not passed over in silence."""

PEAK_CEILING = 10 ** (-1 / 20)  # -1 dBFS

RATES = range(1_000, 1_000_001)
"""Hz; a header that says anything else is wrong, and believing it could fill the memory."""

_BLOCK = 1 << 18
# A header written before the length was known says 0 or about 2^31, 2^32 or 2^63; then the file itself decides.
_UNKNOWN_BYTES = 0x7FFF0000
_UNKNOWN_FRAMES = 1 << 40
_PROMISE = re.compile(r"^ *(?:data|SSND|Data Size) *: (\d+) \(should be (\d+)\)", re.MULTILINE)
# soundfile lets several kinds through; a length beyond all memory is a ValueError of numpy's.
_UNREADABLE = (soundfile.SoundFileError, OSError, RuntimeError, ValueError, MemoryError)
_CUT_OFF = 0.05  # seconds that may be missing at the end: padding, rounding


def seconds_of(path: Path) -> float:
    """Read a recording's length from its header. :raises DataError: it cannot be read, or was cut off."""
    _require_file(path)
    return seconds_in(os.fsencode(path), str(path))


def recorded(path: Path) -> tuple[Waveform, int]:
    """Read a whole recording as mono at its own rate, and that rate in Hz. :raises DataError: as ``read``."""
    rate = rate_of(path)
    return read(path, rate), rate


def rate_of(path: Path) -> int:
    """Read a recording's samples a second from its header. :raises DataError: as ``seconds_of``."""
    _require_file(path)
    return rate_in(os.fsencode(path), str(path))


def rate_in(file: bytes | IO[bytes], name: str) -> int:
    """Read the rate of an encoded recording, open or by path. :raises DataError: as ``seconds_of``."""
    try:
        with _open(file) as opened:
            _check_header(opened, name)
            return int(opened.samplerate)
    except _UNREADABLE as error:
        raise DataError(f"{name} cannot be read as audio: {_reason(error)}") from error


def seconds_in(file: bytes | IO[bytes], name: str) -> float:
    """Read the length of an encoded recording, open or by path. :raises DataError: as ``seconds_of``."""
    try:
        with _open(file) as opened:
            _check_header(opened, name)
            known = opened.frames < _UNKNOWN_FRAMES
            frames = opened.frames if known else sum(len(block) for block in opened.through())
            return float(frames / opened.samplerate)
    except _UNREADABLE as error:
        raise DataError(f"{name} cannot be read as audio: {_reason(error)}") from error


def read(path: Path, sample_rate: int) -> Waveform:
    """Read a whole recording as mono at ``sample_rate``, ``float32 [samples]``.

    Channels are averaged; the rate is changed by soxr's high quality filter.

    :raises DataError: unreadable, cut off, empty, or holding values that are not numbers.
    """
    _require_file(path)
    return decode(os.fsencode(path), sample_rate, str(path))


def decode(file: bytes | IO[bytes], sample_rate: int, name: str) -> Waveform:
    """Do what ``read`` does for an encoded recording that is open. :raises DataError: as ``read``."""
    try:
        with _open(file) as opened:
            rate, promised = opened.samplerate, opened.frames
            _check_header(opened, name)
            sound = np.concatenate([np.zeros((0, opened.channels), np.float32), *opened.through()])
    except _UNREADABLE as error:
        raise DataError(f"{name} cannot be read as audio: {_reason(error)}") from error
    if promised < _UNKNOWN_FRAMES:
        _check_whole(len(sound) / rate, promised / rate, name)
    return to_mono(sound, rate, sample_rate, name)


def to_mono(sound: np.ndarray, rate: int, sample_rate: int, name: str) -> Waveform:
    """Average channels ``[samples, channels]``, change the rate, and keep within [-1, 1] by less gain.

    :raises DataError: empty or not finite.
    """
    if not len(sound):
        raise DataError(f"{name} holds no samples")
    if not np.isfinite(sound).all():
        raise DataError(f"{name} holds samples that are not numbers (NaN or infinity)")
    mono = sound.mean(axis=1, dtype=np.float32) if sound.ndim == 2 else sound.astype(np.float32)
    if rate != sample_rate:
        mono = soxr.resample(mono, rate, sample_rate, quality="HQ").astype(np.float32)
    # Float files may hold more than full scale, and the filter rings beyond it where a recording was clipped.
    peak = float(np.abs(mono).max(initial=0))
    return np.ascontiguousarray(mono / np.float32(peak) if peak > 1 else mono)


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
    # In float64, for the gain of a waveform next to silence is beyond float32.
    return (waveform.astype(np.float64) * gain).astype(np.float32)


def write_wav(path: Path, pieces: Iterable[Audio], sample_rate: int) -> float:
    """Write 16-bit PCM as pieces arrive, under a temporary name until the last one; return the seconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    samples = 0
    try:
        with soundfile.SoundFile(
            str(aside), "w", samplerate=sample_rate, channels=1, format="WAV", subtype="PCM_16"
        ) as file:
            for piece in pieces:
                file.write(_pcm16(piece.waveform))
                samples += len(piece.waveform)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    return samples / sample_rate


def stream_pcm(out: IO[bytes], pieces: Iterable[Audio]) -> int:
    """Write little-endian 16-bit samples to a pipe as they arrive; return how many."""
    samples = 0
    for piece in pieces:
        out.write(_pcm16(piece.waveform).astype("<i2").tobytes())
        out.flush()
        samples += len(piece.waveform)
    return samples


def stream_header(sample_rate: int) -> bytes:
    """A WAV header for sound of unknown length: sizes at their maximum, as players of pipes expect."""
    unknown = 0xFFFFFFFF
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, sample_rate, sample_rate * 2, 2, 16)
    return struct.pack("<4sI4s", b"RIFF", unknown, b"WAVE") + fmt + struct.pack("<4sI", b"data", unknown)


def _pcm16(waveform: Waveform) -> np.ndarray:
    return np.clip(np.rint(waveform * 32768), -32768, 32767).astype(np.int16)


def _require_file(path: Path) -> None:
    # A FIFO or a device would block or never end.
    if not os.path.isfile(path):
        what = "is not a plain file" if os.path.lexists(path) else "does not exist"
        raise DataError(f"{path} {what}")
    if path.suffix.lower() in FOREIGN_SUFFIXES:
        raise DataError(f"{path} cannot be read as audio: {path.suffix} is not supported; convert it to WAV or FLAC")


class _Sound(soundfile.SoundFile):  # type: ignore[misc] # soundfile has no types
    """Reads from beginning to end and trusts no length that a header gives."""

    def seekable(self) -> bool:
        # Else each read ends with a seek, which fails where the header is wrong.
        return False

    def through(self) -> Iterator[np.ndarray]:
        """Yield blocks ``float32 [samples, channels]`` until there are no more."""
        while len(block := self.read(_BLOCK, dtype="float32", always_2d=True)):
            yield block


@contextmanager
def _open(file: bytes | IO[bytes]) -> Iterator[_Sound]:
    with open(file, "rb") if isinstance(file, bytes) else nullcontext(file) as encoded:
        if not _length_is_guessed(encoded):
            with _Sound(file) as sound:
                yield sound
            return
        # libsndfile cannot guess through a pipe, so it reads to the end.
        end, beginning = os.pipe()
        feeder = threading.Thread(target=_feed, args=(encoded, beginning), daemon=True)
        feeder.start()
        try:
            with open(end, "rb") as pipe, _Sound(pipe.fileno(), closefd=False) as sound:
                yield sound
        finally:
            feeder.join()


def _length_is_guessed(file: IO[bytes]) -> bool:
    """Whether this is an MP3 without a count of its frames: libsndfile guesses, and stops where the guess ends."""
    file.seek(0)
    head = file.read(10)
    if head[:3] == b"ID3":
        file.seek(sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True)) + 10)
        head = b""
    head += file.read(512)
    file.seek(0)
    is_mp3 = len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0
    return is_mp3 and not any(tag in head for tag in (b"Xing", b"Info", b"VBRI"))


def _feed(file: IO[bytes], beginning: int) -> None:
    with suppress(BrokenPipeError), open(beginning, "wb") as pipe:
        shutil.copyfileobj(file, pipe)


def _check_header(opened: _Sound, name: str) -> None:
    if opened.samplerate not in RATES:
        raise DataError(f"{name} says that it has {opened.samplerate} samples a second, which no recording has")
    # libsndfile takes what the file holds for its length, and only notes down what the header promised.
    noted = _PROMISE.search(opened.extra_info)
    if noted and int(noted[2]) < int(noted[1]) < _UNKNOWN_BYTES and opened.frames:
        held = opened.frames / opened.samplerate
        _check_whole(held, held * int(noted[1]) / int(noted[2]), name)


def _check_whole(held: float, promised: float, name: str) -> None:
    if promised - held > _CUT_OFF:
        raise DataError(f"{name} was cut off: its header promises {promised:.2f} s, the file holds {held:.2f} s")


def _reason(error: Exception) -> str:
    return " ".join(getattr(error, "error_string", str(error)).split())[:160] or type(error).__name__
