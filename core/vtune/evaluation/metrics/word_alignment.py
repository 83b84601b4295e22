"""Words that were said against words that should be: which are missing, which were added, which are others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["same", "other", "left_out", "added"]


@dataclass(frozen=True, slots=True)
class Edits:
    """A shortest way from one text to another.

    :param steps: kind, the word that should be (empty where one was added), and the word that was said.
    """

    steps: tuple[tuple[Kind, str, str], ...]

    @property
    def left_out(self) -> int:
        """Words that were not said."""
        return self._count("left_out")

    @property
    def added(self) -> int:
        """Words that should not be there."""
        return self._count("added")

    @property
    def wrong(self) -> int:
        """All that differ: the Levenshtein distance in words."""
        return len(self.steps) - self._count("same")

    def _count(self, kind: Kind) -> int:
        return sum(step[0] == kind for step in self.steps)


def edits(wanted: Sequence[str], said: Sequence[str]) -> Edits:
    """Find a shortest way; of several, one that leaves most words standing. Time and memory: both lengths multiplied.

    A change costs more than all words together can save by staying.
    """
    change = len(wanted) + 1
    cost = np.zeros((len(wanted) + 1, len(said) + 1), dtype=np.int64)
    cost[:, 0], cost[0, :] = change * np.arange(len(wanted) + 1), change * np.arange(len(said) + 1)
    for row, old in enumerate(wanted, 1):
        for column, new in enumerate(said, 1):
            kept = cost[row - 1, column - 1] + (-1 if old == new else change)
            cost[row, column] = min(kept, cost[row - 1, column] + change, cost[row, column - 1] + change)
    steps: list[tuple[Kind, str, str]] = []
    row, column = len(wanted), len(said)
    while row or column:
        same = bool(row and column) and wanted[row - 1] == said[column - 1]
        if row and column and cost[row, column] == cost[row - 1, column - 1] + (-1 if same else change):
            steps.append(("same" if same else "other", wanted[row - 1], said[column - 1]))
            row, column = row - 1, column - 1
        elif row and cost[row, column] == cost[row - 1, column] + change:
            steps.append(("left_out", wanted[row - 1], ""))
            row -= 1
        else:
            steps.append(("added", "", said[column - 1]))
            column -= 1
    return Edits(tuple(reversed(steps)))
