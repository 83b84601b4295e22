from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune.audio.segmentation.segments import FRAME_SECONDS, ClipLengths, Segment, Stretch, segment

WANTED = ClipLengths()


def silent(stretches: list[Stretch]) -> np.ndarray:
    return np.full(stretches[-1][1] + 100 if stretches else 100, -60, dtype=np.float32)


@st.composite
def recordings(draw: st.DrawFn, longest: int = 900, most: int = 9) -> list[Stretch]:
    stretches, position = [], 0
    for _ in range(draw(st.integers(0, most))):
        position += draw(st.integers(15, 400))
        length = draw(st.integers(6, longest))
        stretches.append((position, position + length))
        position += length
    return stretches


def seconds(utterance: Segment, lengths: ClipLengths) -> float:
    pauses = [FRAME_SECONDS * (after[0] - before[1]) for before, after in itertools.pairwise(utterance.stretches)]
    return utterance.speech + sum(min(pause, lengths.max_pause_seconds) for pause in pauses) + 2 * lengths.pad_seconds


@settings(deadline=None, max_examples=80)
@given(recordings(longest=4000))
def test_all_speech_is_in_some_clip_and_in_order(stretches: list[Stretch]) -> None:
    segments = segment(stretches, silent(stretches), WANTED)
    pieces = [piece for segment in segments for piece in segment.stretches]
    assert sum(end - start for start, end in pieces) == sum(end - start for start, end in stretches)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(pieces))
    assert all(any(start <= a and b <= end for start, end in stretches) for a, b in pieces)
    assert all(seconds(segment, WANTED) <= WANTED.max_seconds + 1e-6 for segment in segments)


def cost(groups: list[list[Stretch]], lengths: ClipLengths) -> float:
    """Return the cost of a grouping, computed only from what the module's docstring says."""
    total = 0.0
    for number, run in enumerate(groups):
        length = seconds(Segment(tuple(run)), lengths)
        spoken = FRAME_SECONDS * sum(end - start for start, end in run)
        pauses = [FRAME_SECONDS * (after[0] - before[1]) for before, after in itertools.pairwise(run)]
        middle, width = (lengths.min_seconds + lengths.max_seconds) / 2, lengths.max_seconds - lengths.min_seconds
        short = length < lengths.min_seconds
        waited = sum(0.5 * max(0.0, pause - lengths.max_pause_seconds) for pause in pauses)
        total += 10 * spoken if short else 0.3 * ((length - middle) / width) ** 2 + waited
        if number + 1 < len(groups):
            pause = FRAME_SECONDS * (groups[number + 1][0][0] - run[-1][1])
            total += max(0.0, 1 - pause / lengths.pause_seconds)
    return total


@settings(deadline=None, max_examples=60)
@given(recordings(most=8))
def test_no_other_grouping_is_cheaper(stretches: list[Stretch]) -> None:
    if not stretches:
        return
    segments = [list(segment.stretches) for segment in segment(stretches, silent(stretches), WANTED)]
    others = []
    for cuts in itertools.product([False, True], repeat=len(stretches) - 1):
        groups, run = [], [stretches[0]]
        for cut, stretch in zip(cuts, stretches[1:], strict=True):
            if cut:
                groups.append(run)
                run = []
            run.append(stretch)
        groups.append(run)
        if all(len(group) == 1 or seconds(Segment(tuple(group)), WANTED) <= WANTED.max_seconds for group in groups):
            others.append(cost(groups, WANTED))
    assert cost(segments, WANTED) == pytest.approx(min(others), abs=1e-6)


def test_short_sentences_are_joined_and_not_lost() -> None:
    stretches = [(index, index + 150) for index in range(100, 4000, 230)]  # 1.5 s each, 0.8 s between
    segments = segment(stretches, silent(stretches), WANTED)
    assert all(WANTED.min_seconds <= seconds(segment, WANTED) <= WANTED.max_seconds for segment in segments)


def test_speech_without_a_pause_is_cut_where_it_is_quietest_and_marked() -> None:
    levels = np.full(3000, -20, dtype=np.float32)
    dips = (820, 1730)
    for dip in dips:
        levels[dip : dip + 3] = -35
    segments = segment([(0, 2600)], levels, WANTED)
    assert all(segment.forced for segment in segments)
    edges = [segment.stretches[-1][1] for segment in segments[:-1]]
    assert len(edges) == 2
    assert all(abs(edge - dip - 1) <= 2 for edge, dip in zip(edges, dips, strict=True))


def test_a_cut_is_made_in_the_longer_pause() -> None:
    stretches = [(0, 500), (530, 900), (1000, 1600)]  # pauses of 0.3 and 1.0 s; 13 s hold two of the three
    segments = segment(stretches, silent(stretches), WANTED)
    assert [segment.stretches for segment in segments] == [((0, 500), (530, 900)), ((1000, 1600),)]


def test_nothing_gives_nothing() -> None:
    assert segment([], np.zeros(0, dtype=np.float32), WANTED) == []
