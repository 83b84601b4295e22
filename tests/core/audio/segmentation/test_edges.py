from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune.audio.segmentation.edges import clip_spans
from vtune.audio.segmentation.segments import FRAME_SECONDS, ClipLengths, Segment, Stretch, segment

WANTED = ClipLengths()
PAD = round(WANTED.pad_seconds / FRAME_SECONDS)


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Segment], np.ndarray]:
    stretches: list[Stretch] = []
    position = draw(st.integers(0, 50))
    for _ in range(draw(st.integers(1, 8))):
        length = draw(st.integers(6, 1600))
        stretches.append((position, position + length))
        position += length + draw(st.integers(15, 400))
    count = stretches[-1][1] + draw(st.integers(0, 60))
    powers = np.random.default_rng(draw(st.integers(0, 99))).random(count) * 1e-6
    for start, end in stretches:
        powers[start:end] += 0.01
    levels = (10 * np.log10(powers + 1e-12)).astype(np.float32)
    return segment(stretches, levels, WANTED), powers


@settings(deadline=None, max_examples=150)
@given(cases())
def test_spans_hold_all_speech_in_order_and_no_more_pause_than_is_wanted(
    case: tuple[list[Segment], np.ndarray],
) -> None:
    segments, powers = case
    result = clip_spans(segments, powers, WANTED)
    flat = [span for spans in result for span in spans]
    assert all(0 <= start < end <= len(powers) for start, end in flat)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(flat))
    for utterance, spans in zip(segments, result, strict=True):
        covered = {frame for start, end in spans for frame in range(start, end)}
        assert all(frame in covered for start, end in utterance.stretches for frame in range(start, end))
        seconds = FRAME_SECONDS * len(covered)
        assert seconds <= WANTED.max_seconds + 1e-6
        # More than a pad is kept only for a clip that would be too short.
        if seconds > WANTED.min_seconds + 2 * FRAME_SECONDS:
            assert utterance.stretches[0][0] - spans[0][0] <= (PAD if spans[0][0] else 2 * PAD)
            assert spans[-1][1] - utterance.stretches[-1][1] <= (PAD if spans[-1][1] < len(powers) else 2 * PAD)
        for before, after in itertools.pairwise(spans):
            assert after[0] - before[1] > 0  # there is something that is left out


def test_an_edge_lies_in_the_quietest_20_ms() -> None:
    powers = np.full(1000, 1e-4)
    powers[400:600] = 0.1
    powers[388], powers[389] = 1e-9, 1e-9
    powers[609], powers[610] = 1e-9, 1e-9
    assert clip_spans([Segment(((400, 600),))], powers, ClipLengths(1, 13)) == [[(389, 610)]]


@pytest.mark.parametrize("place", [606, 609, 612])
def test_clips_that_share_a_short_pause_meet_at_its_quietest_place(place: int) -> None:
    powers = np.full(1300, 0.1)
    powers[600:620] = 1e-4
    powers[place : place + 2] = 1e-9
    first, second = clip_spans([Segment(((100, 600),)), Segment(((620, 1200),))], powers, WANTED)
    assert first[-1][1] == second[0][0] == place + 1


def test_speech_that_is_cut_for_want_of_a_pause_loses_nothing() -> None:
    powers = np.full(2000, 0.1)
    first, second = clip_spans([Segment(((0, 900),), True), Segment(((900, 2000),), True)], powers, WANTED)
    assert (first, second) == ([(0, 900)], [(900, 2000)])


def test_a_sentence_that_stands_alone_is_widened_only_if_that_makes_it_long_enough() -> None:
    powers = np.full(1000, 1e-6)
    for frames, expected in ((270, 300), (200, 200 + 2 * PAD), (60, 100), (20, 20 + 2 * PAD)):
        loud = powers.copy()
        loud[400 : 400 + frames] = 0.1
        ((span,),) = clip_spans([Segment(((400, 400 + frames),))], loud, WANTED)
        assert span[1] - span[0] == pytest.approx(expected, abs=0 if expected in (100, 300) else PAD + 5), frames


def test_a_recording_that_was_trimmed_to_its_speech_is_kept_whole() -> None:
    powers = np.full(250, 1e-4)
    powers[25:225] = 0.1
    assert clip_spans([Segment(((25, 225),))], powers, WANTED) == [[(0, 250)]]


def test_a_clip_a_little_too_short_keeps_more_of_its_pauses() -> None:
    powers = np.full(1000, 1e-6)
    powers[300:570] = 0.1
    ((span,),) = clip_spans([Segment(((300, 570),))], powers, WANTED)
    assert span[1] - span[0] == 300
    powers = powers[:575]  # nothing behind: what is lacking is taken before
    ((span,),) = clip_spans([Segment(((300, 570),))], powers, WANTED)
    assert span[0] >= 270
    assert span[1] <= 575
