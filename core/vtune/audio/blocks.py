"""Recordings as streams of blocks, whoever can read them, and nothing that their headers say is believed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import numpy as np
from numpy.typing import NDArray

from vtune.audio import av_container as film
from vtune.audio import sound_file as sound
from vtune.errors import DataError, in_a_line

SUFFIXES = sound.SUFFIXES | film.SUFFIXES
"""What is taken for a recording, as file name endings."""

RATES = range(1_000, 1_000_001)
"""Hz; a header that says anything else is wrong, and believing it could fill the memory."""

CHANNELS = range(1, 65)

_CUT_OFF = 0.05  # seconds that may be missing at the end: padding, rounding

Block = NDArray[np.float32]
"""``[samples, channels]``."""


class Stream(Protocol):
    """What a reader gives: header and samples. ``promised`` is the length in seconds by the header, if it says."""

    rate: int
    channels: int
    promised: float | None

    def blocks(self) -> Iterator[Block]:
        """Yield what is there, once, from beginning to end."""
        ...


@dataclass(frozen=True, slots=True)
class Recording:
    """An open recording.

    :param rate: Hz.
    :param promised: seconds by the header; None where only reading tells.
    """

    name: str
    rate: int
    channels: int
    promised: float | None
    _stream: Stream

    def blocks(self) -> Iterator[Block]:
        """Yield ``float32 [samples, channels]``, once, until there are no more.

        :raises DataError: unreadable further on, cut off, or holding values that are not numbers.
        """
        held = 0
        blocks = self._stream.blocks()
        while (block := self._next(blocks)) is not None:
            if not np.isfinite(block).all():
                raise DataError(f"{self.name} holds samples that are not numbers (NaN or infinity)")
            held += len(block)
            yield block
        _check_whole(held / self.rate, self.promised, self.name)

    def _next(self, blocks: Iterator[Block]) -> Block | None:
        try:
            return next(blocks, None)
        except UNREADABLE as error:
            raise DataError(f"{self.name} cannot be read as audio: {_why(error)}") from error


# The readers let several kinds through; a length beyond all memory is a ValueError of numpy's.
UNREADABLE = (*sound.ERRORS, *film.ERRORS, OSError, RuntimeError, ValueError, MemoryError)


@contextmanager
def opened(file: Path | IO[bytes], name: str | None = None) -> Iterator[Recording]:
    """Open a recording: libsndfile first, and FFmpeg for what it cannot read.

    :param file: a path, or an open file with its ``name``.
    :raises DataError: no plain file, unreadable, cut off, or a header that cannot be true.
    """
    if isinstance(file, Path):
        require_file(file)
        name = name or str(file)
    name = name or "sound"
    with ExitStack() as stack:
        stream = _stream(file, name, stack)
        if stream.rate not in RATES:
            raise DataError(f"{name} says that it has {stream.rate} samples a second, which no recording has")
        if stream.channels not in CHANNELS:
            raise DataError(f"{name} says that it has {stream.channels} channels, which no recording has")
        yield Recording(name, stream.rate, stream.channels, stream.promised, stream)


def require_file(path: Path) -> None:
    """See to it that a path is a plain file: a FIFO or a device would block or never end. :raises DataError: not."""
    if not os.path.isfile(path):
        what = "is not a plain file" if os.path.lexists(path) else "does not exist"
        raise DataError(f"{path} {what}")


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a recording's bytes. :raises DataError: it is no plain file, or cannot be read."""
    require_file(path)
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def _stream(file: Path | IO[bytes], name: str, stack: ExitStack) -> Stream:
    try:
        found = stack.enter_context(sound.opened(file))
    except UNREADABLE as error:
        first = error
    else:
        # libsndfile takes what the file holds for its length, and only notes down what the header promised.
        _check_whole(found.held, found.promised, name)
        return found
    try:
        return stack.enter_context(film.opened(file))
    except UNREADABLE as error:
        own = Path(name).suffix.lower() in sound.SUFFIXES
        raise DataError(f"{name} cannot be read as audio: {_why(first if own else error)}") from error


def _check_whole(held: float, promised: float | None, name: str) -> None:
    if promised is not None and promised - held > _CUT_OFF:
        raise DataError(f"{name} was cut off: its header promises {promised:.2f} s, the file holds {held:.2f} s")


def _why(error: BaseException) -> str:
    said = getattr(error, "error_string", None) or getattr(error, "strerror", None) or error
    return in_a_line(said)[:160] or type(error).__name__
