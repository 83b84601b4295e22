"""Find the positions of dropped rows, from the position of each drop and the later edits before it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from vtune.curation.review.history import HistoryEntry

T = TypeVar("T")


@dataclass(slots=True)
class DroppedRow:
    """A dropped row.

    :param position: number of the remaining row before which it stood.
    """

    position: int
    entry: HistoryEntry


def dropped_rows(standing: Iterable[HistoryEntry]) -> list[DroppedRow]:
    """Return the dropped rows of one table in their order, from its edits that were not undone."""
    dropped: list[DroppedRow] = []
    for entry in standing:
        change = entry.change
        if change is None:
            continue
        if entry.action == "restore":
            at = next((index for index, ghost in enumerate(dropped) if ghost.entry.id == entry.of), None)
            if at is not None:
                del dropped[at]
                for ghost in dropped[at:]:
                    ghost.position += 1
            continue
        insert_at = next((index for index, ghost in enumerate(dropped) if ghost.position > change.row), len(dropped))
        for ghost in dropped[insert_at:]:
            ghost.position = max(change.row, ghost.position + change.put - change.took)
        if entry.action == "drop":
            dropped.insert(insert_at, DroppedRow(change.row, entry))
    return dropped


def interleaved(rows: Sequence[T], between: Sequence[tuple[int, T]]) -> list[T]:
    """Insert each item of ``between`` before the row of its number.

    Example: ``interleaved(["a", "b"], [(1, "x")])`` is ``["a", "x", "b"]``.
    """
    mixed: list[T] = []
    remaining = list(between)
    for number, row in enumerate(rows):
        while remaining and remaining[0][0] <= number:
            mixed.append(remaining.pop(0)[1])
        mixed.append(row)
    return mixed + [ghost for _, ghost in remaining]
