"""Open recordings of any format as streams of blocks, and check what their headers say."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import numpy as np
from numpy.typing import NDArray

from vtune.audio import av_container, sound_file
from vtune.audio.file_kinds import not_a_recording, unfinished_download
from vtune.errors import DataError, in_a_line

SUFFIXES = sound_file.SUFFIXES | av_container.SUFFIXES
"""File name endings of recordings."""

SAMPLE_RATES = range(1_000, 1_000_001)
"""Hz; a header with any other rate is wrong, and resampling from that rate could fill the memory."""

CHANNEL_COUNTS = range(1, 65)

MAX_SAMPLE = 2.0**31
"""Largest sample of a float file, where full scale is 1: some programs write the numbers of 16 or 32 bits."""

_MAX_MISSING_SECONDS = 0.05  # padding and rounding may shorten a recording by this

Block = NDArray[np.float32]
"""``[samples, channels]``."""


class AudioStream(Protocol):
    """The header and the samples of a file that a reader has opened.

    ``header_seconds`` is the length that the header states; None if the header states none. ``can_seek`` tells whether
    a sample can be reached without reading what lies before it.
    """

    rate: int
    channels: int
    header_seconds: float | None
    can_seek: bool

    def blocks(self) -> Iterator[Block]:
        """Yield all blocks to the end; call it once."""
        ...

    def seek(self, sample: int) -> None:
        """Let ``blocks`` begin at a sample; only for a stream that ``can_seek``."""
        ...


@dataclass(frozen=True, slots=True)
class Recording:
    """An open recording.

    :param rate: Hz.
    :param header_seconds: the length that the header states; None if only reading shows it.
    """

    name: str
    rate: int
    channels: int
    header_seconds: float | None
    _stream: AudioStream

    def blocks(self, first: int = 0) -> Iterator[Block]:
        """Yield blocks ``float32 [samples, channels]`` from sample ``first`` to the end; call it once.

        :raises DataError: the rest is unreadable or cut off, or samples are not numbers.
        """
        samples = self._seek(first)
        blocks = self._stream.blocks()
        while (block := self._next(blocks)) is not None:
            before, samples = samples, samples + len(block)
            if samples <= first:
                continue
            block = block[max(0, first - before) :]
            _check_samples(block, self.name)
            yield block
        _check_complete(samples / self.rate, self.header_seconds, self.name)

    @property
    def can_seek(self) -> bool:
        """Whether ``blocks`` reaches its first sample without reading what lies before it."""
        return self._stream.can_seek

    def _seek(self, sample: int) -> int:
        """Go to a sample if possible, and return the sample that the stream is at."""
        if not sample or not self.can_seek:
            return 0
        try:
            self._stream.seek(sample)
        except UNREADABLE as error:
            raise DataError(f"{self.name} cannot be read as audio: {_why(error)}") from error
        return sample

    def _next(self, blocks: Iterator[Block]) -> Block | None:
        try:
            return next(blocks, None)
        except UNREADABLE as error:
            raise DataError(f"{self.name} cannot be read as audio: {_why(error)}") from error


_PLAIN_MESSAGES = {
    "File does not exist or is not a regular file (possibly a pipe?).": "the file is damaged at its start",
    "Unspecified internal error.": "the file is damaged",
    "Format not recognised.": "it has no known audio format",
    "File contains data in an unknown format.": "it has no known audio format",
    "Error : unknown error in flac decoder.": "the file is damaged",
    "Invalid data found when processing input": "the file is damaged",
}
"""Messages of libsndfile and FFmpeg that mislead, and what they mean."""

# Both readers raise several kinds of errors; for a length beyond all memory numpy raises ValueError.
UNREADABLE = (*sound_file.ERRORS, *av_container.ERRORS, OSError, RuntimeError, ValueError, MemoryError)


@contextmanager
def opened(file: Path | IO[bytes], name: str | None = None) -> Iterator[Recording]:
    """Open a recording with libsndfile, or with FFmpeg if libsndfile cannot read the recording.

    :param file: a path, or an open file with its ``name``.
    :raises DataError: the file is not a plain file, unreadable or cut off, or its header is wrong.
    """
    if isinstance(file, Path):
        require_file(file)
        name = name or str(file)
    name = name or "sound"
    with ExitStack() as stack:
        stream = _stream(file, name, stack)
        if stream.rate not in SAMPLE_RATES:
            raise DataError(f"the header of {name} states {stream.rate} samples a second, which no recording has")
        if stream.channels not in CHANNEL_COUNTS:
            raise DataError(f"the header of {name} states {stream.channels} channels, which no recording has")
        yield Recording(name, stream.rate, stream.channels, stream.header_seconds, stream)


def require_file(path: Path) -> None:
    """Check that a path is a plain file, because a FIFO or a device would block or never end.

    :raises DataError: the path is not a plain file.
    """
    if not os.path.isfile(path):
        what = "is not a plain file" if os.path.lexists(path) else "does not exist"
        raise DataError(f"{path} {what}{_unfinished(path)}")


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a recording's bytes. :raises DataError: the path is not a plain file, or cannot be read."""
    require_file(path)
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def _stream(file: Path | IO[bytes], name: str, stack: ExitStack) -> AudioStream:
    try:
        stream = stack.enter_context(sound_file.opened(file))
    except UNREADABLE as error:
        libsndfile_error = error
    else:
        # libsndfile takes the sound in the file for its length, and only notes what the header states.
        _check_complete(stream.file_seconds, stream.header_seconds, name)
        return stream
    try:
        return stack.enter_context(av_container.opened(file))
    except UNREADABLE as error:
        is_libsndfile = Path(name).suffix.lower() in sound_file.SUFFIXES
        why = not_a_recording(file)
        if why is not None:
            raise DataError(f"{name} is {why}{_unfinished(file)}") from error
        why = _why(libsndfile_error if is_libsndfile else error)
        raise DataError(f"{name} cannot be read as audio: {why}") from error


def _unfinished(file: Path | IO[bytes]) -> str:
    download = unfinished_download(file) if isinstance(file, Path) else None
    return "" if download is None else f"; {download.name} beside it is an unfinished download"


def _check_samples(block: Block, name: str) -> None:
    low, high = float(block.min()), float(block.max())  # NaN if one sample is
    if not (math.isfinite(low) and math.isfinite(high)):
        raise DataError(f"{name} holds samples that are not numbers (NaN or infinity)")
    if max(-low, high) > MAX_SAMPLE:
        raise DataError(f"{name} holds samples of {max(-low, high):.0e}, but full scale is 1: this is not sound")


def _check_complete(file_seconds: float, header_seconds: float | None, name: str) -> None:
    if header_seconds is not None and header_seconds - file_seconds > _MAX_MISSING_SECONDS:
        raise DataError(
            f"{name} was cut off: its header states {header_seconds:.2f} s, the file has {file_seconds:.2f} s"
        )


def _why(error: BaseException) -> str:
    message = getattr(error, "error_string", None) or getattr(error, "strerror", None) or error
    message = _PLAIN_MESSAGES.get(str(message), message)
    return in_a_line(message)[:160] or type(error).__name__
