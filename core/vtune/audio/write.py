"""Write sound to files and pipes as 16-bit samples, piece by piece."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Literal

import numpy as np
import soundfile

from vtune.runtime.paths import new_file
from vtune.types import Audio, Waveform

UNKNOWN_BYTES = 0xFFFFFFFF
"""The sizes in the header of a WAV of unknown length."""


def synthetic_note(voice: str) -> str:
    """Return the comment in files of a voice's speech."""
    return f"synthetic speech, made with vtune; voice {voice}"


def write_wav(path: Path, pieces: Iterable[Audio], sample_rate: int, comment: str = "") -> float:
    """Write a WAV of 16 bits piece by piece, under a temporary name until the last piece; return its seconds.

    The folder must exist.

    :param comment: is written into the file before the samples.
    :raises VtuneError: the disk cannot be written.
    """
    samples = 0
    with (
        new_file(path) as aside,
        soundfile.SoundFile(
            os.fsencode(aside), "w", samplerate=sample_rate, channels=1, format="WAV", subtype="PCM_16"
        ) as file,
    ):
        if comment:
            file.comment = comment
        for piece in pieces:
            file.write(pcm16(piece.waveform))
            samples += len(piece.waveform)
    return samples / sample_rate


def encoded(waveform: Waveform, sample_rate: int, kind: Literal["WAV", "MP3"]) -> bytes:
    """Return a waveform as the bytes of a WAV file of 16 bits, or of an MP3 file.

    :raises ValueError: this libsndfile does not write the format at this sample rate.
    """
    file = io.BytesIO()
    try:
        soundfile.write(file, waveform, sample_rate, format=kind, subtype="PCM_16" if kind == "WAV" else None)
    except soundfile.SoundFileError as error:
        raise ValueError(str(error)) from error
    return file.getvalue()


def stream_pcm(out: IO[bytes], pieces: Iterable[Audio]) -> int:
    """Write little-endian 16-bit samples to a pipe, piece by piece; return the number of samples."""
    samples = 0
    for piece in pieces:
        out.write(pcm16(piece.waveform).astype("<i2").tobytes())
        out.flush()
        samples += len(piece.waveform)
    return samples


def wav_header(sample_rate: int, comment: str = "", data_bytes: int | None = None) -> bytes:
    """Return the header of a WAV of 16-bit mono samples.

    :param comment: is written into a LIST chunk before the samples.
    :param data_bytes: the size of the samples; None if it is not known yet. Then the sizes have their maximum,
        0xFFFFFFFF, as players of pipes expect.
    """
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, sample_rate, sample_rate * 2, 2, 16)
    chunks = b"WAVE" + fmt + _note(comment)
    riff_bytes = UNKNOWN_BYTES if data_bytes is None else len(chunks) + 8 + data_bytes
    data_bytes = UNKNOWN_BYTES if data_bytes is None else data_bytes
    return struct.pack("<4sI", b"RIFF", riff_bytes) + chunks + struct.pack("<4sI", b"data", data_bytes)


def _note(comment: str) -> bytes:
    """Return a LIST chunk with a comment, or no bytes without a comment."""
    if not comment:
        return b""
    text = comment.encode("utf-8") + b"\0"
    text += b"\0" * (len(text) % 2)  # chunks begin at even offsets
    return struct.pack("<4sI4s4sI", b"LIST", 12 + len(text), b"INFO", b"ICMT", len(text)) + text


def pcm16(waveform: Waveform) -> np.ndarray:
    """Round to int16 ``[samples]``; samples beyond full scale are clipped."""
    return np.clip(np.rint(waveform * 32768), -32768, 32767).astype(np.int16)
