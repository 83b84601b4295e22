"""Find out how long each character of a recording lasts, without a model of speech.

Put the aligner of your engine in the place of this module, or let your network learn the durations.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

EVENNESS = 2.0
"""How much it costs that a character is longer or shorter than the average character."""
LONGEST = 4.0
"""The longest duration of a character, in durations of the average character."""


def align(mel: NDArray[np.float32], character_count: int) -> NDArray[np.int16]:
    """Divide a spectrogram into one segment for each character so that the frames of a segment are alike.

    The segments have the least possible sum of squared distances of frames from the mean of their segment. This is
    found by dynamic programming over the end of each segment.

    :param mel: ``[T x M]`` with T of at least ``character_count``.
    :returns: frames of each character, at least 1, int16 ``[L]``; their sum is T.
    """
    frame_count = len(mel)
    average = frame_count / character_count
    longest = min(frame_count, int(np.ceil(LONGEST * average)))
    sums = np.pad(np.cumsum(mel.astype(np.float64), axis=0), ((1, 0), (0, 0)))  # [T + 1 x M]
    squares = np.pad(np.cumsum(np.square(mel.astype(np.float64)).sum(axis=1)), (1, 0))  # [T + 1]
    costs = np.full((longest + 1, frame_count + 1), np.inf)  # of the segment with this many frames that ends here
    for length in range(1, longest + 1):
        inner = squares[length:] - squares[:-length]
        mean = np.square(sums[length:] - sums[:-length]).sum(axis=1) / length
        costs[length, length:] = inner - mean + EVENNESS * (length - average) ** 2 / average
    best = np.full(frame_count + 1, np.inf)
    best[0] = 0
    choices = np.zeros((character_count, frame_count + 1), dtype=np.int16)
    for index in range(character_count):
        totals = costs.copy()
        for length in range(1, longest + 1):
            totals[length, length:] += best[: frame_count + 1 - length]
        choices[index] = totals.argmin(axis=0)
        best = totals.min(axis=0)
    durations = np.zeros(character_count, dtype=np.int16)
    end = frame_count
    for index in reversed(range(character_count)):
        durations[index] = choices[index, end]
        end -= durations[index]
    return durations
