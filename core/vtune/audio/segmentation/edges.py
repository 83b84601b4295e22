"""Place the edges of clips: in the quietest 20 ms of the pauses around their speech."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vtune.audio.segmentation.segments import FRAME_SECONDS, ClipLengths, Segment, Stretch

_QUIET_FRAMES = 2
"""Frames of the window whose quietest position is taken."""

_MAX_WIDENING_FRAMES = 30
"""Frames of pause that each edge of a too short clip may move outwards."""


def clip_spans(segments: list[Segment], powers: NDArray[np.float32], lengths: ClipLengths) -> list[list[Stretch]]:
    """Return the spans of frames that each clip keeps: one, or several if a long pause inside the clip is shortened.

    Where the pause is long enough, between a third of a pad and a whole pad lies between speech and edge. Two clips
    with a short pause between them meet at its quietest point. A slightly too short clip keeps more of its pauses.

    :param powers: power of each frame.
    """
    if not segments:
        return []
    bounds = [(segment.stretches[0][0], segment.stretches[-1][1]) for segment in segments]
    left_ends = [None, *(end for _, end in bounds[:-1])]
    right_starts = [*(start for start, _ in bounds[1:]), None]
    clips = []
    for segment, (first, last), left, right in zip(segments, bounds, left_ends, right_starts, strict=True):
        edges = [_begin(powers, left, first, lengths)]
        for (_, quiet_from), (quiet_to, _) in pairwise(segment.stretches):
            if (quiet_to - quiet_from) * FRAME_SECONDS > lengths.max_pause_seconds:
                half = int(lengths.max_pause_seconds / 2 / FRAME_SECONDS)
                edges.append(_quietest(powers, quiet_from + half // 2, quiet_from + half))
                edges.append(_quietest(powers, quiet_to - half, quiet_to - half // 2))
        edges.append(_end(powers, last, right, lengths))
        spans = list(zip(edges[::2], edges[1::2], strict=True))
        # A widened clip stays in its half of each pause, and keeps an edge that it shares with the next clip.
        low = first - _MAX_WIDENING_FRAMES if left is None else min((left + first) // 2, spans[0][0])
        high = last + _MAX_WIDENING_FRAMES if right is None else max((last + right) // 2, spans[-1][1])
        low = spans[0][0] if _shared(left, first, lengths) else max(low, 0)
        high = spans[-1][1] if _shared(last, right, lengths) else min(high, len(powers))
        for seconds in (lengths.min_seconds, lengths.lone_seconds):
            wider = _widened(spans, low, high, math.ceil(seconds / FRAME_SECONDS))
            if sum(end - start for start, end in wider) * FRAME_SECONDS >= seconds:
                spans = wider
                break
        clips.append(_narrowed(spans, first, last, lengths))
    return clips


def _shared(quiet_from: int | None, quiet_to: int | None, lengths: ClipLengths) -> bool:
    """Tell whether the pause between two clips is too short for both of their pads."""
    return (
        quiet_from is not None
        and quiet_to is not None
        and (quiet_to - quiet_from) * FRAME_SECONDS < 2 * lengths.pad_seconds
    )


def _begin(powers: NDArray[np.float32], quiet_from: int | None, quiet_to: int, lengths: ClipLengths) -> int:
    """Return the edge before speech that begins at ``quiet_to``; ``quiet_from`` is None at the beginning."""
    frames = round(lengths.pad_seconds / FRAME_SECONDS)
    if _shared(quiet_from, quiet_to, lengths) and quiet_from is not None:
        margin = (quiet_to - quiet_from) // 4  # speech may end later, and begin earlier, than was found
        return _quietest(
            powers, max(quiet_from + margin, quiet_to - frames), min(quiet_to - margin, quiet_from + frames)
        )
    if quiet_to <= 2 * frames:
        return 0  # a recording that was trimmed to its speech may begin with a sound that is too faint to be found
    return _quietest(powers, quiet_to - frames, quiet_to - frames // 3)


def _end(powers: NDArray[np.float32], quiet_from: int, quiet_to: int | None, lengths: ClipLengths) -> int:
    """Return the edge after speech that ends at ``quiet_from``; ``quiet_to`` is None at the end."""
    if _shared(quiet_from, quiet_to, lengths) and quiet_to is not None:
        return _begin(powers, quiet_from, quiet_to, lengths)
    frames = round(lengths.pad_seconds / FRAME_SECONDS)
    if len(powers) - quiet_from <= 2 * frames:
        return len(powers)
    return _quietest(powers, quiet_from + frames // 3, quiet_from + frames)


def _widened(spans: list[Stretch], low: int, high: int, shortest: int) -> list[Stretch]:
    """Move the outer edges apart, within ``low`` and ``high``, until the spans have ``shortest`` frames."""
    lacking = shortest - sum(end - start for start, end in spans)
    if lacking <= 0:
        return spans
    begin = max(low, spans[0][0] - min(_MAX_WIDENING_FRAMES, -(-lacking // 2)))
    lacking -= spans[0][0] - begin
    end = min(high, spans[-1][1] + min(_MAX_WIDENING_FRAMES, lacking))
    spans = [*spans[:-1], (spans[-1][0], end)]
    return [(begin, spans[0][1]), *spans[1:]]


def _narrowed(spans: list[Stretch], first: int, last: int, lengths: ClipLengths) -> list[Stretch]:
    """Move the outer edges towards the speech until the spans are no longer than a clip may be.

    A third of a pad stays: the whole pause at the ends of a recording, which is kept, may be two pads long.

    :param first: first frame of the speech.
    :param last: first frame after the speech.
    """
    least = round(lengths.pad_seconds / FRAME_SECONDS) // 3
    excess = sum(end - start for start, end in spans) - int(lengths.max_seconds / FRAME_SECONDS + 1e-6)
    if excess <= 0:
        return spans
    begin = max(spans[0][0], min(spans[0][0] + excess, first - least))
    excess -= begin - spans[0][0]
    spans = [(begin, spans[0][1]), *spans[1:]]
    end = min(spans[-1][1], max(spans[-1][1] - max(excess, 0), last + least))
    return [*spans[:-1], (spans[-1][0], end)]


def _quietest(powers: NDArray[np.float32], low: int, high: int) -> int:
    """Return the frame whose start is the middle of the quietest 20 ms between ``low`` and ``high``."""
    low, high = max(low, 0), min(high, len(powers))
    if high - low < _QUIET_FRAMES:
        return min(max(low, 0), len(powers)) if high <= low else (low + high) // 2
    sums = powers[low : high - 1] + powers[low + 1 : high]
    return low + 1 + int(np.argmin(sums))
