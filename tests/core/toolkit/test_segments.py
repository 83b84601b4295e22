from __future__ import annotations

from collections import Counter

import torch
from hypothesis import given
from hypothesis import strategies as st

from vtune.toolkit import segment_starts, take_segments


@given(st.lists(st.tuples(st.integers(1, 50), st.floats(0, 1, exclude_max=True)), min_size=1), st.integers(1, 30))
def test_a_segment_lies_inside_its_clip(clips: list[tuple[int, float]], size: int) -> None:
    lengths = torch.tensor([length for length, _ in clips])
    starts = segment_starts(lengths, size, torch.tensor([lot for _, lot in clips], dtype=torch.float64))
    for (length, _), start in zip(clips, starts.tolist(), strict=True):
        assert start >= 0
        assert start == 0 or start + size <= length


def test_each_place_is_equally_likely() -> None:
    lots = (torch.arange(9000, dtype=torch.float64) + 0.5) / 9000
    counts = Counter(segment_starts(torch.full((9000,), 11), 3, lots).tolist())
    assert counts == Counter({index: 1000 for index in range(9)})


def test_segments_are_slices_and_zero_behind_the_clip() -> None:
    frames = torch.randn(3, 7, 2)
    taken = take_segments(frames, torch.tensor([0, 2, 5]), 4)
    assert torch.equal(taken[0], frames[0, :4])
    assert torch.equal(taken[1], frames[1, 2:6])
    assert torch.equal(taken[2, :2], frames[2, 5:])
    assert not taken[2, 2:].any()
    waveforms = torch.arange(12.0).reshape(2, 6)
    assert take_segments(waveforms, torch.tensor([1, 4]), 2).tolist() == [[1, 2], [10, 11]]
