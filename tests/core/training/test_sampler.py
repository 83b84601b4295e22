from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from vtune.training.sampler import EpochSampler


def order(weights: list[float], seed: int, epoch: int) -> list[int]:
    sampler = EpochSampler(weights, seed)
    sampler.set_epoch(epoch)
    return [row for row, _ in sampler]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from([0.25, 0.5, 1.0, 1.5, 3.0]), min_size=1, max_size=40), st.integers(0, 9), st.integers(0, 9)
)
def test_every_epoch_has_its_length_and_every_row_its_share(weights: list[float], seed: int, epoch: int) -> None:
    drawn = order(weights, seed, epoch)
    assert len(drawn) == len(EpochSampler(weights, seed))
    counts = Counter(drawn)
    for weight in set(weights):
        rows = [row for row, w in enumerate(weights) if w == weight]
        total = sum(counts[row] for row in rows)
        assert total == max(1, round(weight * len(rows)))
        assert max(counts[row] for row in rows) - min(counts[row] for row in rows) <= 1


def test_plain_weights_visit_every_row_once() -> None:
    assert sorted(order([1.0] * 50, 0, 0)) == list(range(50))


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    assert order([1.0] * 20, 1, 2) == order([1.0] * 20, 1, 2)
    assert order([1.0] * 20, 1, 2) != order([1.0] * 20, 1, 3)
    assert order([1.0] * 20, 1, 2) != order([1.0] * 20, 2, 2)


def test_a_fraction_falls_on_other_rows_each_epoch() -> None:
    seen = {row for epoch in range(20) for row in order([0.5] * 10, 0, epoch)}
    assert seen == set(range(10))


def test_every_place_of_the_training_has_a_number_of_its_own() -> None:
    sampler = EpochSampler([1.0, 2.0, 0.5, 0.5], 3)
    places = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        places += [position for _, position in sampler]
    assert places == list(range(3 * len(sampler)))
