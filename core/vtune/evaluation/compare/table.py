"""Scores as a table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from vtune.evaluation import Scores, quality
from vtune.evaluation.selection import RULE


def table(scores: Scores) -> list[str]:
    """Return lines: every figure by group, systems beside each other, and differences that are no chance."""
    columns = scores.columns
    rows: list[list[str]] = []
    group = ""
    for one in scores.scores:
        if one.group != group:
            group = one.group
            rows.append([f"{group}:"])
        surely = [
            f"{name} {one.difference(name)}" for name, (low, high) in one.intervals.items() if low > 0 or high < 0
        ]
        rows.append([f"  {one.figure.title}", *map(one.shown, columns), "; ".join(surely)])
    qualities = {name: quality(scores, name) for name in columns}
    if any(found is not None for found in qualities.values()):
        shown = ["-" if qualities[name] is None else f"{qualities[name]:.2f}" for name in columns]
        rows.append([f"quality: {RULE}", *shown, ""])
    heads = ["", *columns, f"difference to {scores.baseline} (95 %), where it is none by chance"]
    lines = _aligned([heads, *rows])
    lines += [f"not measured: {group}: {reason}" for group, reason in scores.skipped.items()]
    return lines + scores.warnings()


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    count = max(map(len, rows))
    widths = [max((len(row[place]) for row in rows if len(row) == count), default=0) for place in range(count)]
    return [_line(row, widths) if len(row) == count else row[0] for row in rows]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *middle, last = row
    cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(middle, widths[1:-1], strict=True))]
    return "  ".join([*cells, last]).rstrip()
