"""Stretches of speech to clips of a wanted length, by dynamic programming over the pauses between them.

Times are frames of 10 ms. A clip is some stretches in a row; its cost says how far it is from what training wants, and
the cheapest row of clips over the whole recording wins. Nothing is dropped here: what ends up too short is too short
because it stands alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from vtune.errors import DataError

FRAME = 0.010
"""Seconds."""

Stretch = tuple[int, int]
"""First frame of speech, and the first behind it."""

TOO_SHORT = 10.0
"""Cost of a second of speech in a clip below the wanted length, against about 1 for anything else."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What clips should be like, in seconds.

    :param pause: a pause that a speaker makes between sentences; a cut in a shorter one costs.
    :param inner: longest pause that a clip should hold; longer ones cost (and are shortened when the clip is cut).
    :param pad: most that is kept of the pause at each end of a clip; a third of it is the least.
    """

    shortest: float = 3.0
    longest: float = 13.0
    pause: float = 0.5
    inner: float = 1.0
    pad: float = 0.15

    def __post_init__(self) -> None:
        if not 0 < self.shortest < self.longest:
            raise DataError(f"clips of {self.shortest:g} to {self.longest:g} s: the longest must be above the shortest")
        if self.longest < 1:
            raise DataError(f"clips of {self.longest:g} s at most are too short to cut speech into; allow 1 s or more")

    def scaled(self, factor: float) -> Wanted:
        """Return the same wishes where a frame is not quite 10 ms."""
        return Wanted(*(factor * getattr(self, one.name) for one in fields(self)))


@dataclass(frozen=True, slots=True)
class Segment:
    """One clip to be: its stretches, and whether it begins or ends inside speech for want of a pause."""

    stretches: tuple[Stretch, ...]
    forced: bool = False

    @property
    def speech(self) -> float:
        """Seconds of speech."""
        return FRAME * sum(end - start for start, end in self.stretches)


def segment(stretches: Sequence[Stretch], levels: NDArray[np.float32], wanted: Wanted) -> list[Segment]:
    """Group stretches into clips.

    :param levels: dB of each frame, to find the best place inside speech that never pauses.

    Complexity: stretches times those that fit into the longest clip.
    """
    pieces = [piece for stretch in stretches for piece in _broken(stretch, levels, wanted)]
    best = [0.0] + [math.inf] * len(pieces)
    came_from = [0] * (len(pieces) + 1)
    for end in range(1, len(pieces) + 1):
        after = pieces[end][0] if end < len(pieces) else None
        cut = 0.0 if after is None else _cut_cost(pieces[end - 1][1], after, wanted)
        # From the last piece backwards, so that each longer clip adds to the one before.
        spoken = length = waited = 0.0
        for start in range(end - 1, -1, -1):
            spoken += FRAME * (pieces[start][1] - pieces[start][0])
            if start < end - 1:
                pause = FRAME * (pieces[start + 1][0] - pieces[start][1])
                length += min(pause, wanted.inner)
                waited += max(0.0, pause - wanted.inner)
            seconds = spoken + length + 2 * wanted.pad
            if start < end - 1 and seconds > wanted.longest:
                break
            cost = best[start] + _clip_cost(seconds, spoken, waited, wanted) + cut
            if cost < best[end]:
                best[end], came_from[end] = cost, start
    return _traced(pieces, came_from)


def _traced(pieces: Sequence[Stretch], came_from: Sequence[int]) -> list[Segment]:
    found: list[Segment] = []
    end = len(pieces)
    while end:
        start = came_from[end]
        cuts = [place for place in (start, end) if 0 < place < len(pieces)]
        forced = any(pieces[place - 1][1] == pieces[place][0] for place in cuts)
        found.append(Segment(tuple(pieces[start:end]), forced))
        end = start
    return found[::-1]


def _clip_cost(seconds: float, spoken: float, waited: float, wanted: Wanted) -> float:
    if seconds < wanted.shortest:
        return TOO_SHORT * spoken
    middle = (wanted.shortest + wanted.longest) / 2
    uneven = ((seconds - middle) / (wanted.longest - wanted.shortest)) ** 2
    return 0.3 * uneven + 0.5 * waited


def _cut_cost(before: int, after: int, wanted: Wanted) -> float:
    pause = FRAME * (after - before)
    if pause == 0:
        return 4.0  # inside speech
    # A pause that is too short for both pads costs much; a long one nothing.
    return max(0.0, 1.0 - pause / wanted.pause)


def _broken(stretch: Stretch, levels: NDArray[np.float32], wanted: Wanted) -> list[Stretch]:
    """Cut speech that is longer than a clip at its quietest places, far enough apart."""
    start, end = stretch
    room = int((wanted.longest - 2 * wanted.pad) / FRAME)
    if end - start <= room:
        return [stretch]
    count = math.ceil((end - start) / room)
    # The cut nearest to the middle share that keeps both sides short enough; then each side by itself.
    left = count // 2
    low = max(start + (end - start) // (2 * count), end - (count - left) * room)
    high = min(end - (end - start) // (2 * count), start + left * room)
    window = levels[low : max(high, low + 2)]
    quiet = np.convolve(window, np.ones(2) / 2, "valid")  # 20 ms
    place = low + 1 + int(np.argmin(quiet))
    return [*_broken((start, place), levels, wanted), *_broken((place, end), levels, wanted)]
