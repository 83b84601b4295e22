"""Read WAV, FLAC, Ogg, Opus, MP3 and similar files with libsndfile."""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
import soundfile

from vtune.audio.c_stderr import muted_c_stderr

SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".w64", ".caf"})
"""File name endings of these files."""

ERRORS = (soundfile.SoundFileError,)

_BLOCK_FRAMES = 1 << 16
# A header that was written before the length was known states 0 or about 2^31, 2^32 or 2^63; then the file decides.
_UNKNOWN_BYTES = 0x7FFF0000
_UNKNOWN_FRAMES = 1 << 40
_NOTED_LENGTH = re.compile(r"^ *(?:data|SSND|Data Size) *: (\d+) \(should be (\d+)\)", re.MULTILINE)


class LibsndfileStream:
    """A file that libsndfile has opened.

    ``file_seconds`` is the length of the samples in the file, at most the length that the header states.
    """

    def __init__(self, file: _SequentialSoundFile, *, can_seek: bool) -> None:
        self._file, self.can_seek = file, can_seek
        self.rate: int = file.samplerate
        self.channels: int = file.channels
        is_known = file.frames < _UNKNOWN_FRAMES and self.rate > 0
        self.header_seconds: float | None = file.frames / self.rate if is_known else None
        self.file_seconds = self.header_seconds or 0.0
        noted = _NOTED_LENGTH.search(file.extra_info)
        if noted and self.header_seconds and int(noted[2]) < int(noted[1]) < _UNKNOWN_BYTES:
            self.header_seconds = self.file_seconds * int(noted[1]) / int(noted[2])

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield all blocks, ``float32 [samples, channels]``."""
        while len(block := self._read()):
            yield block

    def seek(self, sample: int) -> None:
        """Go to a sample; a pipe cannot."""
        with muted_c_stderr():
            self._file.seek(sample)

    def _read(self) -> np.ndarray:
        with muted_c_stderr():
            return np.asarray(self._file.read(_BLOCK_FRAMES, dtype="float32", always_2d=True))


@contextmanager
def opened(file: Path | IO[bytes]) -> Iterator[LibsndfileStream]:
    """Open a file.

    :raises SoundFileError: libsndfile cannot read the file; OSError, RuntimeError and ValueError have the same meaning.
    """
    with open(file, "rb") if isinstance(file, Path) else nullcontext(file) as encoded:
        encoded.seek(0)
        if not _length_is_guessed(encoded):
            with _SequentialSoundFile(os.fsencode(file) if isinstance(file, Path) else file) as sound:
                yield LibsndfileStream(sound, can_seek=True)
            return
        # libsndfile cannot guess the length of a pipe, so it reads to the end.
        read_end, write_end = os.pipe()
        feeder = threading.Thread(target=_feed, args=(encoded, write_end), daemon=True)
        feeder.start()
        try:
            with open(read_end, "rb") as pipe, _SequentialSoundFile(pipe.fileno(), closefd=False) as sound:
                yield LibsndfileStream(sound, can_seek=False)
        finally:
            feeder.join()


class _SequentialSoundFile(soundfile.SoundFile):  # type: ignore[misc] # soundfile has no types
    """A file that is read from beginning to end, whatever length its header states."""

    def __init__(self, file: Any, **options: Any) -> None:
        with muted_c_stderr():
            super().__init__(file, **options)

    def seekable(self) -> bool:
        # Otherwise each read ends with a seek, which fails if the header is wrong.
        return False


def _length_is_guessed(file: IO[bytes]) -> bool:
    """Tell whether this is an MP3 without a frame count: libsndfile guesses its length and stops reading there."""
    head = file.read(10)
    if head[:3] == b"ID3":
        file.seek(sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True)) + 10)
        head = b""
    head += file.read(512)
    file.seek(0)
    is_mp3 = len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0
    return is_mp3 and not any(tag in head for tag in (b"Xing", b"Info", b"VBRI"))


def _feed(file: IO[bytes], write_end: int) -> None:
    with suppress(BrokenPipeError), open(write_end, "wb") as pipe:
        shutil.copyfileobj(file, pipe)
