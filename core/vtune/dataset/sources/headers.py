"""Find the header of a table of cells: below title rows, and also where its headings are not the usual ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vtune.dataset.sources.column_chooser import choose_columns
from vtune.dataset.sources.columns import SAMPLE_CELL_CHARACTERS, ColumnChoice, Columns, is_usual, names_both
from vtune.dataset.sources.evidence import CellKind, examine_column, reads_like_words

MAX_TITLE_ROWS = 10
"""Rows above a header."""

MIN_CONTRAST_ROWS = 3
"""Rows below a header that has no usual heading; fewer rows do not show that the first one differs."""

MAX_HEADING_CHARACTERS = 40


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a table.

    :param line: the line that it stands in.
    :param skipped: title rows above the header.
    """

    line: int
    cells: tuple[str, ...]
    skipped: int

    def describe(self) -> str:
        """Return a clause about the title rows."""
        rows = "1 row" if self.skipped == 1 else f"{self.skipped} rows"
        return f"{rows} above the header in line {self.line} skipped"


def columns_below(path: Path, header: Header | None, rows: Sequence[Sequence[str]], choice: ColumnChoice) -> Columns:
    """Choose the columns of a table of cells, and add a note about rows above its header.

    :param header: None for a table without one.
    :param rows: a sample of the rows below the header, all as wide as the table.
    :raises DataError: as ``choose_columns``.
    """
    sample = [[cell[:SAMPLE_CELL_CHARACTERS] for cell in row] for row in rows]
    if header is None:
        return choose_columns(path, None, sample, choice)
    columns = choose_columns(path, header.cells, sample, choice, header.line)
    return replace(columns, notes=(*columns.notes, header.describe())) if header.skipped else columns


def find_header(rows: Sequence[tuple[int, Sequence[str]]], choice: ColumnChoice) -> Header | None:
    """Return the header among the first rows, or None if the table has none.

    A first row with one usual or chosen heading is a header. Below other rows, both recording and words must have such
    headings, or all rows above have fewer cells. A first row whose cells are unlike the cells below them, as a heading
    is unlike file names, is a header with unusual headings.

    :param rows: line and cells of the rows at the beginning.
    """
    for index, (line, cells) in enumerate(rows[:MAX_TITLE_ROWS]):
        stripped = tuple(cell.strip() for cell in cells)
        is_first = index == 0 and (any(map(is_usual, stripped)) or choice.headings(stripped))
        if is_first or names_both(stripped, choice):
            return Header(line, stripped, index)
    return _header_by_contrast(rows)


def _header_by_contrast(rows: Sequence[tuple[int, Sequence[str]]]) -> Header | None:
    widths = Counter(len(cells) for _, cells in rows)
    width = widths.most_common(1)[0][0]
    index = next(index for index, (_, cells) in enumerate(rows) if len(cells) == width)
    line, first = rows[index]
    below = [cells for _, cells in rows[index + 1 :] if len(cells) == width]
    if width < 2 or index > MAX_TITLE_ROWS or len(below) < MIN_CONTRAST_ROWS:
        return None
    cells = tuple(cell.strip() for cell in first)
    if not all(cells) or len(set(cells)) < width or max(map(len, cells)) > MAX_HEADING_CHARACTERS:
        return None
    contrasts = [_contrast(cells[column], [row[column] for row in below]) for column in range(width)]
    return Header(line, cells, index) if any(contrasts) and None not in contrasts else None


def _contrast(heading: str, cells: Sequence[str]) -> bool | None:
    """Tell whether a cell is unlike those below it: True, False if it may be either, None if it is one of them."""
    kind = examine_column(cells).kind
    if heading in cells:
        return None
    if kind in {CellKind.RECORDING, CellKind.NUMBER, CellKind.TIME}:
        return True if examine_column([heading]).kind is not kind else None
    if kind is CellKind.IDENTIFIER and all(any(map(str.isdigit, cell)) for cell in cells):
        return True if not any(map(str.isdigit, heading)) else None
    if kind is CellKind.WORDS and reads_like_words(heading) and len(heading.split()) > 3:
        return None
    return False
