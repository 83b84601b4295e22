"""Search the most likely durations of the symbols of a text: a Viterbi search over whole segments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_SYMBOL_STEPS = 60
"""Longest duration of a symbol that is no pause, in steps of 25 ms: 1.5 s."""

MAX_PAUSE_STEPS = 400
"""Longest pause: 10 s."""


@dataclass(frozen=True, slots=True)
class DurationPrior:
    """What is known about durations before a recording is heard: the base's own, each with a spread.

    A duration's logarithm is normally distributed around the expected one.

    :param expected: steps of each symbol, ``[L]``.
    :param pauses: True for symbols that may be silence (spaces, marks and edges), ``[L]``.
    :param spread: standard deviation of the logarithm, of symbols that are no pauses.
    :param pause_spread: the same of pauses.
    :param weight: of the prior beside the classifier.
    """

    expected: NDArray[np.float64]
    pauses: NDArray[np.bool_]
    spread: float = 0.45
    pause_spread: float = 1.5
    weight: float = 2.0

    def log_likelihoods(self, symbol: int, durations: NDArray[np.int64], pace: float) -> NDArray[np.float64]:
        """Return the log-likelihood of each duration of one symbol, up to a constant.

        :param pace: how much slower than the base the recording is; pauses do not follow it.
        """
        pause = bool(self.pauses[symbol])
        expected = self.expected[symbol] * (1.0 if pause else pace)
        distance = np.log(durations / expected) / (self.pause_spread if pause else self.spread)
        return np.asarray(-0.5 * self.weight * np.square(distance))


def best_durations(log_likelihoods: NDArray[np.float64], prior: DurationPrior) -> NDArray[np.int64]:
    """Return the steps of each symbol, int64 ``[L]``, each at least 1; their sum is T.

    :param log_likelihoods: of the sound of step t if symbol l is spoken in it, ``[T x L]``; T is at least L.
    """
    steps, symbols = log_likelihoods.shape
    until = np.concatenate([np.zeros((1, symbols)), log_likelihoods.cumsum(0)])  # of steps 0 to t - 1
    pace = float(np.clip(steps / prior.expected.sum(), 0.3, 3.0))
    best = np.full(steps + 1, -np.inf)  # best[t]: the symbols so far fill exactly t steps
    best[0] = 0.0
    chosen = np.zeros((symbols, steps + 1), np.int64)
    for symbol in range(symbols):
        longest = min(steps, MAX_PAUSE_STEPS if prior.pauses[symbol] else MAX_SYMBOL_STEPS)
        durations = np.arange(longest, 0, -1)
        starts = np.pad((best - until[:, symbol])[:-1], (longest, 0), constant_values=-np.inf)
        windows = np.lib.stride_tricks.sliding_window_view(
            starts, longest
        )  # [T + 1 x longest]: starts t - longest to t - 1
        scores = windows + prior.log_likelihoods(symbol, durations, pace)
        index = scores.argmax(1)
        chosen[symbol] = durations[index]
        best = scores[np.arange(steps + 1), index] + until[:, symbol]
    result = np.empty(symbols, np.int64)
    end = steps
    for symbol in range(symbols - 1, -1, -1):
        result[symbol] = chosen[symbol, end]
        end -= result[symbol]
    return result
