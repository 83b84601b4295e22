"""The search finds what trying all durations finds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from vtune_hibari.alignment.search import MAX_SYMBOL_STEPS, DurationPrior, best_durations


def compositions(steps: int, symbols: int) -> Iterator[tuple[int, ...]]:
    """Yield all ways to share steps among symbols, each at least 1."""
    if symbols == 1:
        yield (steps,)
        return
    for first in range(1, steps - symbols + 2):
        for rest in compositions(steps - first, symbols - 1):
            yield (first, *rest)


@pytest.mark.parametrize("seed", range(5))
def test_the_best_of_all_durations_is_found(seed: int) -> None:
    random = np.random.default_rng(seed)
    steps, symbols = 11, 5
    likelihoods = random.normal(0, 2, (steps, symbols))
    expected, pauses = random.uniform(1, 4, symbols), random.random(symbols) < 0.4
    prior = DurationPrior(expected, pauses, spread=0.5, pause_spread=1.2, weight=0.7)
    pace = steps / expected.sum()

    def score(durations: tuple[int, ...]) -> float:
        owners = np.repeat(np.arange(symbols), durations)
        total = likelihoods[np.arange(steps), owners].sum()
        for symbol, duration in enumerate(durations):
            centre = expected[symbol] if pauses[symbol] else pace * expected[symbol]
            spread = 1.2 if pauses[symbol] else 0.5
            total -= 0.7 * np.log(duration / centre) ** 2 / (2 * spread**2)
        return float(total)

    best = max(compositions(steps, symbols), key=score)
    assert tuple(best_durations(likelihoods, prior)) == best


def test_as_many_steps_as_symbols_leave_no_choice() -> None:
    prior = DurationPrior(np.ones(4), np.zeros(4, bool))
    assert best_durations(np.zeros((4, 4)), prior).tolist() == [1, 1, 1, 1]


def test_a_long_silence_belongs_to_a_pause_and_to_no_sound() -> None:
    steps = 3 * MAX_SYMBOL_STEPS
    prior = DurationPrior(np.full(3, 2.0), np.array([False, True, False]))
    first, pause, last = best_durations(np.zeros((steps, 3)), prior)
    assert first + pause + last == steps
    assert pause > MAX_SYMBOL_STEPS >= max(first, last)
