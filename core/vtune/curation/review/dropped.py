"""Where dropped rows stood: the history says at which place each went, and what came and went before it since."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from vtune.curation.review.history import Entry

T = TypeVar("T")


@dataclass(slots=True)
class Ghost:
    """A dropped row, which stood before the ``place``-th of those that are left."""

    place: int
    entry: Entry


def ghosts(standing: Iterable[Entry]) -> list[Ghost]:
    """Return the dropped rows of one table in their order, from its standing edits."""
    found: list[Ghost] = []
    for entry in standing:
        change = entry.change
        if change is None:
            continue
        if entry.action == "restore":
            at = next((n for n, ghost in enumerate(found) if ghost.entry.id == entry.of), None)
            if at is not None:
                del found[at]
                for ghost in found[at:]:
                    ghost.place += 1
            continue
        behind = next((n for n, ghost in enumerate(found) if ghost.place > change.row), len(found))
        for ghost in found[behind:]:
            ghost.place = max(change.row, ghost.place + change.put - change.took)
        if entry.action == "drop":
            found.insert(behind, Ghost(change.row, entry))
    return found


def interleaved(rows: Sequence[T], between: Sequence[tuple[int, T]]) -> list[T]:
    """Put each of ``between`` before the row of its number."""
    mixed: list[T] = []
    left = list(between)
    for number, row in enumerate(rows):
        while left and left[0][0] <= number:
            mixed.append(left.pop(0)[1])
        mixed.append(row)
    return mixed + [ghost for _, ghost in left]
