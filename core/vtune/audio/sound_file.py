"""What libsndfile reads: WAV, FLAC, Ogg, Opus, MP3 and their kin."""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO

import numpy as np
import soundfile

SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".w64", ".caf"})
"""File name endings."""

ERRORS = (soundfile.SoundFileError,)

_BLOCK = 1 << 16
# A header written before the length was known says 0 or about 2^31, 2^32 or 2^63; then the file itself decides.
_UNKNOWN_BYTES = 0x7FFF0000
_UNKNOWN_FRAMES = 1 << 40
_PROMISE = re.compile(r"^ *(?:data|SSND|Data Size) *: (\d+) \(should be (\d+)\)", re.MULTILINE)


class SoundStream:
    """A file that libsndfile has opened.

    ``held`` is what it found in the file, in seconds, at most what the header promises.
    """

    def __init__(self, file: _Sound) -> None:
        self._file = file
        self.rate: int = file.samplerate
        self.channels: int = file.channels
        known = file.frames < _UNKNOWN_FRAMES and self.rate > 0
        self.promised: float | None = file.frames / self.rate if known else None
        self.held = self.promised or 0.0
        noted = _PROMISE.search(file.extra_info)
        if noted and self.promised and int(noted[2]) < int(noted[1]) < _UNKNOWN_BYTES:
            self.promised = self.held * int(noted[1]) / int(noted[2])

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield blocks ``float32 [samples, channels]`` until there are no more."""
        while len(block := self._file.read(_BLOCK, dtype="float32", always_2d=True)):
            yield block


@contextmanager
def opened(file: Path | IO[bytes]) -> Iterator[SoundStream]:
    """Open a file. :raises SoundFileError: not one of libsndfile's; OSError, RuntimeError, ValueError likewise."""
    with open(file, "rb") if isinstance(file, Path) else nullcontext(file) as encoded:
        encoded.seek(0)
        if not _length_is_guessed(encoded):
            with _Sound(os.fsencode(file) if isinstance(file, Path) else file) as sound:
                yield SoundStream(sound)
            return
        # libsndfile cannot guess through a pipe, so it reads to the end.
        end, beginning = os.pipe()
        feeder = threading.Thread(target=_feed, args=(encoded, beginning), daemon=True)
        feeder.start()
        try:
            with open(end, "rb") as pipe, _Sound(pipe.fileno(), closefd=False) as sound:
                yield SoundStream(sound)
        finally:
            feeder.join()


class _Sound(soundfile.SoundFile):  # type: ignore[misc] # soundfile has no types
    """Reads from beginning to end and trusts no length that a header gives."""

    def seekable(self) -> bool:
        # Else each read ends with a seek, which fails where the header is wrong.
        return False


def _length_is_guessed(file: IO[bytes]) -> bool:
    """Whether this is an MP3 without a count of its frames: libsndfile guesses, and stops where the guess ends."""
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
