"""Read parts of long recordings: only the part is decoded, and its edges are moved to the quiet around it."""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from vtune.audio.blocks import Block, digest_of, opened, require_file
from vtune.audio.read import to_mono
from vtune.errors import DataError
from vtune.types import Waveform

OUTWARD_SECONDS = 0.15
"""Seconds that an edge may move away from the part: times are often written a little inside the speech."""

INWARD_SECONDS = 0.05
"""Seconds that an edge may move into the part, if the sound is quieter there."""

QUIET_SECONDS = 0.02
"""Seconds of the window whose quietest position becomes the edge."""

NEIGHBOUR_SECONDS = 2 * OUTWARD_SECONDS
"""Seconds from an edge within which the edge of another part counts: both parts then meet at one cut."""

MAX_OVERRUN_SECONDS = 1.0
"""Seconds that a part may end after its recording: subtitles stay on the screen for a moment after the last word."""

_INSIDE_FACTOR = 4.0  # 6 dB: a position inside a part has to be this much quieter than one between parts
_EQUAL_FACTOR = 2.0  # 3 dB: positions that differ by less are equally quiet, because noise is never even
_SKIP_SECONDS = 20.0  # shorter distances are read over in an open recording, longer ones are jumped over
_CACHED_HEADERS = 4096


@dataclass(frozen=True, slots=True)
class RecordingPart:
    """The part of a recording that holds one clip, in seconds from the recording's beginning.

    :param end: None for the end of the recording.
    :param after: where the part before this part ends, if that is within ``NEIGHBOUR_SECONDS`` of ``start``.
    :param before: where the part after this part begins, if that is within ``NEIGHBOUR_SECONDS`` of ``end``.
    """

    start: float
    end: float | None = None
    after: float | None = None
    before: float | None = None


def part_bounds(path: Path, part: RecordingPart) -> tuple[float, float]:
    """Return the seconds at which a part begins and ends in its recording; the edges are not moved yet.

    :raises DataError: the recording cannot be read, or ends before the part.
    """
    seconds = header_of(path)[1]
    end = seconds if part.end is None else min(part.end, seconds)
    if part.start >= seconds or (part.end is not None and part.end - seconds > MAX_OVERRUN_SECONDS):
        last = "" if part.end is None else f" to {part.end:g} s"
        raise DataError(f"the row names {part.start:g} s{last}, but {path} has {seconds:.2f} s; correct the times")
    return part.start, end


def read_part(path: Path, part: RecordingPart) -> tuple[Waveform, int]:
    """Read a part of a recording as mono; return ``float32 [samples]`` and the recording's sample rate in Hz.

    Each edge is moved to the quietest 20 ms between 150 ms outside and 50 ms inside of the part. Where another part
    is near, both parts meet at the quietest point between them, so that no part holds what another part says.

    :raises DataError: the recording cannot be read, or ends before the part.
    """
    start, end = part_bounds(path, part)
    rate, seconds = header_of(path)
    inward = min(INWARD_SECONDS, (end - start) / 4)
    opening, ending = _start_search(part, inward), _end_search(part, end, inward)
    low, high = max(0.0, opening.first - QUIET_SECONDS), min(seconds, ending.last + QUIET_SECONDS)
    sound = _read_samples(path, int(low * rate), math.ceil(high * rate))
    mono = to_mono(sound, rate, rate, str(path))
    low = int(low * rate) / rate
    begin = 0 if start < QUIET_SECONDS else _quietest(mono, rate, low, opening)
    stop = len(mono) if seconds - end < QUIET_SECONDS else _quietest(mono, rate, low, ending)
    return mono[begin : max(stop, begin + 1)], rate


def header_of(path: Path) -> tuple[int, float]:
    """Return the sample rate in Hz and the length in seconds of a recording; both are remembered while the file does
    not change.

    :raises DataError: the recording cannot be read.
    """
    return _header(*_file_key(path))


def cached_digest_of(path: Path) -> str:
    """Return the SHA-256 of a recording's bytes, which is remembered while the file does not change.

    :raises DataError: the path is not a plain file, or cannot be read.
    """
    return _digest(*_file_key(path))


@lru_cache(maxsize=_CACHED_HEADERS)
def _header(path: str, size: int, changed: int) -> tuple[int, float]:
    with opened(Path(path)) as recording:
        if recording.header_seconds is not None:
            return recording.rate, recording.header_seconds
        return recording.rate, sum(len(block) for block in recording.blocks()) / recording.rate


@lru_cache(maxsize=_CACHED_HEADERS)
def _digest(path: str, size: int, changed: int) -> str:
    return digest_of(Path(path))


def _file_key(path: Path) -> tuple[str, int, int]:
    require_file(path)
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    return str(path), status.st_size, status.st_mtime_ns


@dataclass(frozen=True, slots=True)
class _EdgeSearch:
    """Where an edge is searched, in seconds: from ``first`` to ``last``, rather in the gap from ``left`` to ``right``.

    The gap lies between two parts, or is the sound beside a part that no other part is near.
    """

    first: float
    left: float
    right: float
    last: float


def _start_search(part: RecordingPart, inward: float) -> _EdgeSearch:
    if part.after is None:
        left = part.start - OUTWARD_SECONDS
        return _EdgeSearch(left, left, part.start, part.start + inward)
    return _shared_search(part.after, part.start, inward)


def _end_search(part: RecordingPart, end: float, inward: float) -> _EdgeSearch:
    if part.before is None:
        right = end + OUTWARD_SECONDS
        return _EdgeSearch(end - inward, end, right, right)
    return _shared_search(end, part.before, inward)


def _shared_search(end: float, start: float, inward: float) -> _EdgeSearch:
    """Return the search for the one cut of two parts, of which the first may end a little after the second begins."""
    left, right = min(end, start), max(end, start)
    return _EdgeSearch(left - inward, left, right, right + inward)


def _quietest(mono: Waveform, rate: int, low: float, search: _EdgeSearch) -> int:
    """Return the sample in the middle of the quietest 20 ms of a search.

    A position outside the gap has to be quieter by 6 dB. Of equally quiet positions, an edge that no other part is near
    takes the outermost, and two parts meet in the middle of the longest stretch: the silence of a stop within a word is
    as quiet as a pause, but shorter, and lies further inside.

    :param low: second of the recording at which ``mono`` begins.
    """
    first, left, right, last = (
        round((second - low) * rate) for second in (search.first, search.left, search.right, search.last)
    )
    half = max(1, round(QUIET_SECONDS * rate / 2))
    cuts = np.arange(max(0, first), max(0, min(last, len(mono))) + 1)
    power = np.concatenate([[0.0], np.cumsum(mono.astype(np.float64) ** 2)])
    starts, ends = np.maximum(cuts - half, 0), np.minimum(cuts + half, len(mono))
    loudness = (power[ends] - power[starts]) / np.maximum(ends - starts, 1)
    inside = (cuts < left) | (cuts > right)
    if not inside.all() and loudness[~inside].min() <= loudness.min() * _INSIDE_FACTOR + 1e-12:
        cuts, loudness = cuts[~inside], loudness[~inside]
    quiet = cuts[loudness <= loudness.min() * _EQUAL_FACTOR + 1e-12]
    if search.first == search.left:
        return int(quiet[0])
    if search.right == search.last:
        return int(quiet[-1])
    runs = np.split(quiet, np.flatnonzero(np.diff(quiet) > 1) + 1)
    longest = max(runs, key=len)
    return int(longest[len(longest) // 2])


class _OpenRecording:
    """A recording that stays open between its parts, so that many parts in their order are read in one pass."""

    def __init__(self, path: Path, first: int) -> None:
        self._stack = ExitStack()
        self._recording = self._stack.enter_context(opened(path))
        self._blocks: Iterator[Block] = self._recording.blocks(first)
        self._held: deque[Block] = deque()
        self._start = self._end = first

    def reaches(self, first: int) -> bool:
        """Tell whether sample ``first`` is held or lies ahead: a little, or as far as must be if only reading helps."""
        is_near = first <= self._end + _SKIP_SECONDS * self._recording.rate
        return self._start <= first and (is_near or not self._recording.can_seek)

    def read(self, first: int, end: int) -> Block:
        """Return the samples from ``first`` to ``end``, fewer if the recording ends before."""
        while self._end < end and (block := next(self._blocks, None)) is not None:
            self._held.append(block)
            self._end += len(block)
            while self._held and self._start + len(self._held[0]) <= first:
                self._start += len(self._held.popleft())
        held = [np.zeros((0, self._recording.channels), np.float32), *self._held]
        return np.concatenate(held)[first - self._start : end - self._start]

    def close(self) -> None:
        """Close the file."""
        self._blocks = iter(())
        self._stack.close()


class _LastRecording(threading.local):
    """The recording that this thread read last. A forked process must not move the position of its parent's file."""

    key: tuple[int, str, int, int] | None = None
    recording: _OpenRecording | None = None


_LAST = _LastRecording()


def _read_samples(path: Path, first: int, end: int) -> Block:
    key = (os.getpid(), *_file_key(path))
    if _LAST.recording is None or _LAST.key != key or not _LAST.recording.reaches(first):
        forget_open_recording()
        _LAST.recording, _LAST.key = _OpenRecording(path, first), key
    try:
        return _LAST.recording.read(first, end)
    except DataError:
        forget_open_recording()
        raise


def forget_open_recording() -> None:
    """Close the recording that this thread keeps open for its next part."""
    if _LAST.recording is not None and _LAST.key is not None and _LAST.key[0] == os.getpid():
        _LAST.recording.close()
    _LAST.recording = _LAST.key = None
