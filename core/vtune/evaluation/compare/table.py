"""Scores as a table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from vtune.evaluation import Scores, Selection


def table(scores: Scores, selection: Selection) -> list[str]:
    """Return the scores as lines: every metric by group, systems beside each other, and clear differences."""
    columns = scores.columns
    rows: list[list[str]] = []
    group = ""
    for score in scores.scores:
        if score.group != group:
            group = score.group
            rows.append([f"{group}:"])
        clear = [
            f"{name} {score.difference(name)}" for name, (low, high) in score.intervals.items() if low > 0 or high < 0
        ]
        rows.append([f"  {score.spec.name}: {score.spec.title}", *map(score.shown, columns), "; ".join(clear)])
    qualities = [selection.quality(scores, name) for name in columns]
    if any(quality is not None for quality in qualities):
        shown = ["-" if quality is None else f"{quality:.2f}" for quality in qualities]
        rows.append([selection.quality_spec.title, *shown, ""])
    heads = ["", *columns, f"difference to {scores.baseline} (95 % interval), where it is not by chance"]
    lines = _aligned([heads, *rows])
    lines += [f"Not measured: {group}: {reason}" for group, reason in scores.skipped.items()]
    return lines + scores.warnings()


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    count = max(map(len, rows))
    widths = [max((len(row[column]) for row in rows if len(row) == count), default=0) for column in range(count)]
    return [_line(row, widths) if len(row) == count else row[0] for row in rows]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *middle, last = row
    cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(middle, widths[1:-1], strict=True))]
    return "  ".join([*cells, last]).rstrip()
