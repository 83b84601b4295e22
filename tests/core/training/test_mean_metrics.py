from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vtune.training.mean_metrics import MeanMetrics

Pair = tuple[float, int]


class Ranks:
    """Replaces an accelerator of several processes where numbers are added up; records what was added."""

    def __init__(self, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self._change = change
        self.asked: list[torch.Tensor] = []

    def reduce(self, tensor: torch.Tensor) -> torch.Tensor:
        self.asked.append(tensor)
        return self._change(tensor)


def alone() -> Ranks:
    return Ranks(lambda tensor: tensor)


def pair(total: float, count: float) -> torch.Tensor:
    return torch.tensor([total, count])


@given(st.lists(st.tuples(st.integers(-1000, 1000), st.integers(1, 50)), min_size=1, max_size=20))
def test_a_mean_is_over_all_that_was_counted_not_over_steps(steps: list[Pair]) -> None:
    means = MeanMetrics()
    for total, count in steps:
        means.add({"error": pair(total, count)})
    expected = sum(total for total, _ in steps) / sum(count for _, count in steps)
    assert means.take(alone()) == {"error": pytest.approx(expected, rel=1e-12, abs=1e-12)}


def test_what_was_taken_is_gone() -> None:
    means = MeanMetrics()
    means.add({"error": pair(6, 2), "hits": pair(1, 4)})
    assert means.take(alone()) == {"error": 3, "hits": 0.25}
    assert means.take(alone()) == {}
    means.add({"error": pair(1, 1)})
    assert means.take(alone()) == {"error": 1}


def test_processes_are_weighted_by_what_each_counted() -> None:
    means = MeanMetrics()
    means.add({"error": pair(6, 2)})
    assert means.take(Ranks(lambda tensor: 2 * tensor)) == {"error": 3}
    means.add({"error": pair(6, 2)})
    assert means.take(Ranks(lambda tensor: tensor + pair(1, 5))) == {"error": 1}


def test_every_process_adds_up_the_same_names_in_the_same_order() -> None:
    ranks = alone(), alone()
    for names, rank in zip((("b", "a", "c"), ("c", "b", "a")), ranks, strict=True):
        means = MeanMetrics()
        for name in names:
            means.add({name: pair(ord(name), 1)})
        means.take(rank)
    assert [tensor.tolist() for tensor in ranks[0].asked] == [tensor.tolist() for tensor in ranks[1].asked]


def test_nothing_measured_is_nothing_logged() -> None:
    means = MeanMetrics()
    means.add(None)
    means.add({})
    means.add({"rare": pair(0, 0)})
    assert means.take(alone()) == {}
    means.add({"rare": pair(0, 0), "error": pair(4, 2)})
    means.add({"rare": pair(5, 1)})
    assert means.take(alone()) == {"rare": 5, "error": 2}


def test_long_sums_stay_exact() -> None:
    means = MeanMetrics()
    for total in (2.0**24, 1, 1, 1):  # in float32 the ones would be lost
        means.add({"error": pair(total, 1)})
    assert means.take(alone()) == {"error": (2**24 + 3) / 4}


def test_no_graph_of_an_earlier_step_is_kept() -> None:
    means, weight, ranks = MeanMetrics(), torch.ones(2, requires_grad=True), alone()
    given_away = [pair(1, 1) * weight for _ in range(3)]
    for metric in given_away:
        means.add({"error": metric})
    assert means.take(ranks) == {"error": 1}
    assert not ranks.asked[0].requires_grad
    assert given_away[0].tolist() == [1, 1]  # what was handed in is left as it was
