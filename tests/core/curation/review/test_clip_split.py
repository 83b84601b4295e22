"""A clip is cut at the quietest position near the time that was asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune.curation.review.clip_split import MIN_HALF_SECONDS, QUIET_WINDOW_SECONDS, SEARCH_SECONDS, quietest_sample
from vtune.errors import DataError


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([1_000, 8_000, 44_100]), st.floats(0.11, 1.89))
def test_no_other_place_nearby_is_quieter(seed: int, rate: int, near: float) -> None:
    random = np.random.default_rng(seed)
    loudness = np.repeat(random.uniform(0, 1, 200), rate // 100)
    sound = (random.normal(0, 0.1, 2 * rate) * loudness).astype(np.float32)
    cut = quietest_sample(sound, rate, near)
    assert abs(cut / rate - near) <= SEARCH_SECONDS + 1 / rate
    assert (cut + 1) / rate >= MIN_HALF_SECONDS
    assert (cut - 1) / rate <= 2 - MIN_HALF_SECONDS
    half = max(1, round(QUIET_WINDOW_SECONDS * rate / 2))

    def level(at: int) -> float:
        return float(np.mean(sound[at - half : at + half].astype(np.float64) ** 2))

    first, last = (round((near + side) * rate) for side in (-SEARCH_SECONDS, SEARCH_SECONDS))
    least = round(MIN_HALF_SECONDS * rate)
    asked = range(max(first, least), min(last, len(sound) - least) + 1)
    assert level(cut) <= min(map(level, asked)) + 1e-12


def test_silence_is_cut_where_it_was_asked():
    assert quietest_sample(np.zeros(16_000, np.float32), 16_000, 0.4321) == round(0.4321 * 16_000)


@pytest.mark.parametrize(("seconds", "near"), [(0.19, 0.1), (0.15, 0.05), (1, 0.09), (1, 0.95), (1, -3), (0, 0)])
def test_halves_are_never_shorter_than_a_tenth_of_a_second(seconds, near):
    with pytest.raises(DataError, match="each half needs"):
        quietest_sample(np.zeros(int(seconds * 8_000), np.float32), 8_000, near)
