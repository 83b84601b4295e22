"""Align two texts word by word: which words are missing, which were added, which were replaced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["match", "substitution", "deletion", "insertion"]


@dataclass(frozen=True, slots=True)
class Alignment:
    """A shortest list of edits that turns one text into another.

    :param steps: kind, the word of the text (empty for an insertion), and the word that was said (empty for a
        deletion).
    """

    steps: tuple[tuple[Kind, str, str], ...]

    @property
    def substitutions(self) -> int:
        """Words of the text that were replaced by others."""
        return self._count("substitution")

    @property
    def deletions(self) -> int:
        """Words of the text that were not said."""
        return self._count("deletion")

    @property
    def insertions(self) -> int:
        """Words that were said and are not in the text."""
        return self._count("insertion")

    @property
    def errors(self) -> int:
        """All differences: the Levenshtein distance in words."""
        return len(self.steps) - self._count("match")

    def _count(self, kind: Kind) -> int:
        return sum(step[0] == kind for step in self.steps)


def align(text: Sequence[str], recognised: Sequence[str]) -> Alignment:
    """Align two lists of words with the fewest edits; of several alignments, an alignment that keeps most words of the
    text.

    A change costs more than all words together can save by staying. Time and memory: ``len(text) * len(heard)``.

    >>> align(["a", "b", "c"], ["a", "c", "d"]).steps
    (('match', 'a', 'a'), ('deletion', 'b', ''), ('match', 'c', 'c'), ('insertion', '', 'd'))
    """
    change = len(text) + 1
    cost = np.zeros((len(text) + 1, len(recognised) + 1), dtype=np.int64)
    cost[:, 0], cost[0, :] = change * np.arange(len(text) + 1), change * np.arange(len(recognised) + 1)
    for row, expected in enumerate(text, 1):
        for column, word in enumerate(recognised, 1):
            kept = cost[row - 1, column - 1] + (-1 if expected == word else change)
            cost[row, column] = min(kept, cost[row - 1, column] + change, cost[row, column - 1] + change)
    steps: list[tuple[Kind, str, str]] = []
    row, column = len(text), len(recognised)
    while row or column:
        match = bool(row and column) and text[row - 1] == recognised[column - 1]
        if row and column and cost[row, column] == cost[row - 1, column - 1] + (-1 if match else change):
            steps.append(("match" if match else "substitution", text[row - 1], recognised[column - 1]))
            row, column = row - 1, column - 1
        elif row and cost[row, column] == cost[row - 1, column] + change:
            steps.append(("deletion", text[row - 1], ""))
            row -= 1
        else:
            steps.append(("insertion", "", recognised[column - 1]))
            column -= 1
    return Alignment(tuple(reversed(steps)))
