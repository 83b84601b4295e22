"""Group stretches of speech into clips of a given length, by dynamic programming over the pauses between them.

Times are frames of 10 ms. A clip is several stretches in a row; its cost says how far the clip is from what training
needs, and the cheapest row of clips over the whole recording is taken. Nothing is dropped here: a clip is too short
only if the speech around it is too far away.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from vtune.errors import DataError

FRAME_SECONDS = 0.010

Stretch = tuple[int, int]
"""The first frame of speech, and the first frame after it."""

SHORT_CLIP_COST = 10.0
"""Cost of a second of speech in a clip below the least length; all other costs are about 1."""


QUIET_CUT_FRAMES = 30
"""Frames whose mean level says where to cut speech without a pause: a pause, and not the dip within a word."""


@dataclass(frozen=True, slots=True)
class ClipLengths:
    """How long clips and the pauses in them should be, in seconds.

    :param min_seconds: the shortest clip that is made of speech with other speech near it.
    :param lone_seconds: the shortest clip of speech that stands alone: a recording of one word or sentence, or speech
        with a long pause on each side.
    :param pause_seconds: the pause that a speaker makes between sentences; a cut in a shorter pause costs.
    :param max_pause_seconds: the longest pause that a clip should hold; longer pauses cost, and the cut shortens them.
    :param pad_seconds: the most that is kept of the pause at each end of a clip; a third of it is the least.
    """

    min_seconds: float = 3.0
    max_seconds: float = 13.0
    pause_seconds: float = 0.5
    max_pause_seconds: float = 1.0
    pad_seconds: float = 0.15
    lone_seconds: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.min_seconds < self.max_seconds:
            raise DataError(
                f"clips of {self.min_seconds:g} to {self.max_seconds:g} s: the longest must be above the shortest"
            )
        if self.max_seconds < 1:
            raise DataError(
                f"clips of {self.max_seconds:g} s at most are too short to cut speech into; allow 1 s or more"
            )

    def scaled(self, factor: float) -> ClipLengths:
        """Return these lengths times ``factor``, for frames that are not quite 10 ms."""
        return ClipLengths(*(factor * getattr(self, field.name) for field in fields(self)))


@dataclass(frozen=True, slots=True)
class Segment:
    """The stretches of one clip, and whether the clip begins or ends inside speech because there is no pause."""

    stretches: tuple[Stretch, ...]
    forced: bool = False

    @property
    def speech(self) -> float:
        """Seconds of speech."""
        return FRAME_SECONDS * sum(end - start for start, end in self.stretches)


def segment(stretches: Sequence[Stretch], levels: NDArray[np.float32], lengths: ClipLengths) -> list[Segment]:
    """Group stretches into clips.

    :param levels: dB of each frame, to find the best cut inside speech without a pause.

    The time grows with the number of stretches times the number of stretches in the longest clip.
    """
    pieces = [piece for stretch in stretches for piece in _split_long(stretch, levels, lengths)]
    best = [0.0] + [math.inf] * len(pieces)
    came_from = [0] * (len(pieces) + 1)
    for end in range(1, len(pieces) + 1):
        after = pieces[end][0] if end < len(pieces) else None
        cut = 0.0 if after is None else _cut_cost(pieces[end - 1][1], after, lengths)
        # Backwards from the last piece, so that each longer clip adds one piece.
        spoken = pauses = excess = 0.0
        for start in range(end - 1, -1, -1):
            spoken += FRAME_SECONDS * (pieces[start][1] - pieces[start][0])
            if start < end - 1:
                pause = FRAME_SECONDS * (pieces[start + 1][0] - pieces[start][1])
                pauses += min(pause, lengths.max_pause_seconds)
                excess += max(0.0, pause - lengths.max_pause_seconds)
            seconds = spoken + pauses + 2 * lengths.pad_seconds
            if start < end - 1 and seconds > lengths.max_seconds:
                break
            cost = best[start] + _clip_cost(seconds, spoken, excess, lengths) + cut
            if cost < best[end]:
                best[end], came_from[end] = cost, start
    return _traced(pieces, came_from)


def _traced(pieces: Sequence[Stretch], came_from: Sequence[int]) -> list[Segment]:
    segments: list[Segment] = []
    end = len(pieces)
    while end:
        start = came_from[end]
        cuts = [index for index in (start, end) if 0 < index < len(pieces)]
        forced = any(pieces[index - 1][1] == pieces[index][0] for index in cuts)
        segments.append(Segment(tuple(pieces[start:end]), forced))
        end = start
    return segments[::-1]


def _clip_cost(seconds: float, spoken: float, excess: float, lengths: ClipLengths) -> float:
    if seconds < lengths.min_seconds:
        return SHORT_CLIP_COST * spoken
    middle = (lengths.min_seconds + lengths.max_seconds) / 2
    uneven = ((seconds - middle) / (lengths.max_seconds - lengths.min_seconds)) ** 2
    return 0.3 * uneven + 0.5 * excess


def _cut_cost(before: int, after: int, lengths: ClipLengths) -> float:
    pause = FRAME_SECONDS * (after - before)
    if pause == 0:
        return 4.0  # inside speech
    # A pause that is too short for both pads costs much; a long one nothing.
    return max(0.0, 1.0 - pause / lengths.pause_seconds)


def _split_long(stretch: Stretch, levels: NDArray[np.float32], lengths: ClipLengths) -> list[Stretch]:
    """Split speech that is longer than a clip at its quietest points, far enough apart."""
    start, end = stretch
    max_frames = int((lengths.max_seconds - 2 * lengths.pad_seconds) / FRAME_SECONDS)
    if end - start <= max_frames:
        return [stretch]
    count = math.ceil((end - start) / max_frames)
    # One cut near the middle that keeps both sides short enough; then each side is split by itself.
    left = count // 2
    low = max(start + (end - start) // (2 * count), end - (count - left) * max_frames)
    high = min(end - (end - start) // (2 * count), start + left * max_frames)
    low = _quietest(levels, low, max(high, low + QUIET_CUT_FRAMES), QUIET_CUT_FRAMES)
    cut = 1 + _quietest(levels, low, min(max(high, low + 2), low + QUIET_CUT_FRAMES), 2)
    return [*_split_long((start, cut), levels, lengths), *_split_long((cut, end), levels, lengths)]


def _quietest(levels: NDArray[np.float32], low: int, high: int, width: int) -> int:
    """Return the start of the quietest ``width`` frames between two frames."""
    window = levels[low:high]
    width = min(width, len(window))
    return low + int(np.argmin(np.convolve(window, np.full(width, 1 / width), "valid")))
