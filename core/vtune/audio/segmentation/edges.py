"""Where exactly a clip begins and ends: in the quietest 20 ms of the pauses around its speech."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vtune.audio.segmentation.segments import FRAME, Segment, Stretch, Wanted

_QUIET = 2
"""Frames over which the quietest place is looked for."""

_MORE = 30
"""Frames of pause that an edge may move further out for a clip that is too short."""


def kept(segments: list[Segment], powers: NDArray[np.float32], wanted: Wanted) -> list[list[Stretch]]:
    """Return the frames that each clip keeps: one span, or several where a long pause inside is shortened.

    Between speech and edge lies a third of a pad at least and a whole one at most, where the pause is long enough; two
    clips that share a short pause meet at its quietest place. A clip that is a little too short keeps more of them.

    :param powers: mean square of each frame.
    """
    bounds = [(one.stretches[0][0], one.stretches[-1][1]) for one in segments]
    before = [None, *(end for _, end in bounds[:-1])]
    behind = [*(start for start, _ in bounds[1:]), None]
    found = []
    for one, (first, last), left, right in zip(segments, bounds, before, behind, strict=True):
        places = [_begin(powers, left, first, wanted)]
        for (_, quiet_from), (quiet_to, _) in pairwise(one.stretches):
            if (quiet_to - quiet_from) * FRAME > wanted.inner:
                half = int(wanted.inner / 2 / FRAME)
                places.append(_quietest(powers, quiet_from + half // 2, quiet_from + half))
                places.append(_quietest(powers, quiet_to - half, quiet_to - half // 2))
        places.append(_end(powers, last, right, wanted))
        spans = list(zip(places[::2], places[1::2], strict=True))
        # Widened, a clip stays in its half of each pause: where its neighbour's edge is the same, that is where it is.
        low = first - _MORE if left is None else min((left + first) // 2, spans[0][0])
        high = last + _MORE if right is None else max((last + right) // 2, spans[-1][1])
        low = spans[0][0] if _shared(left, first, wanted) else max(low, 0)
        high = spans[-1][1] if _shared(last, right, wanted) else min(high, len(powers))
        found.append(_widened(spans, low, high, math.ceil(wanted.shortest / FRAME)))
    return found


def _shared(quiet_from: int | None, quiet_to: int | None, wanted: Wanted) -> bool:
    """Whether a pause between two clips is too short for both their pads."""
    return quiet_from is not None and quiet_to is not None and (quiet_to - quiet_from) * FRAME < 2 * wanted.pad


def _begin(powers: NDArray[np.float32], quiet_from: int | None, quiet_to: int, wanted: Wanted) -> int:
    """Place the edge before speech that begins at ``quiet_to``; None: the recording begins there."""
    frames = round(wanted.pad / FRAME)
    if _shared(quiet_from, quiet_to, wanted) and quiet_from is not None:
        return _quietest(powers, max(quiet_from, quiet_to - frames), min(quiet_to, quiet_from + frames))
    return _quietest(powers, quiet_to - frames, quiet_to - frames // 3)


def _end(powers: NDArray[np.float32], quiet_from: int, quiet_to: int | None, wanted: Wanted) -> int:
    """Place the edge behind speech that ends at ``quiet_from``; None: the recording ends there."""
    if _shared(quiet_from, quiet_to, wanted) and quiet_to is not None:
        return _begin(powers, quiet_from, quiet_to, wanted)
    frames = round(wanted.pad / FRAME)
    return _quietest(powers, quiet_from + frames // 3, quiet_from + frames)


def _widened(spans: list[Stretch], low: int, high: int, shortest: int) -> list[Stretch]:
    """Move the outer edges apart, within bounds, until the spans are long enough."""
    lacking = shortest - sum(end - start for start, end in spans)
    if lacking <= 0:
        return spans
    begin = max(low, spans[0][0] - min(_MORE, -(-lacking // 2)))
    lacking -= spans[0][0] - begin
    end = min(high, spans[-1][1] + min(_MORE, lacking))
    spans = [*spans[:-1], (spans[-1][0], end)]
    return [(begin, spans[0][1]), *spans[1:]]


def _quietest(powers: NDArray[np.float32], low: int, high: int) -> int:
    """Return the frame in whose beginning the quietest 20 ms between two frames have their middle."""
    low, high = max(low, 0), min(high, len(powers))
    if high - low < _QUIET:
        return min(max(low, 0), len(powers)) if high <= low else (low + high) // 2
    sums = powers[low : high - 1] + powers[low + 1 : high]
    return low + 1 + int(np.argmin(sums))
