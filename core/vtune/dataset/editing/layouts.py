"""Where the rows of a table stand in its text, and how a changed or a new one is written in the table's own manner."""

from __future__ import annotations

import io
import itertools
import re
from typing import Protocol

from vtune.dataset.editing.json_rows import JsonLines, JsonList, JsonPairs
from vtune.dataset.editing.lines import LineRows, Span
from vtune.dataset.sources.columns import FLAGS_COLUMN
from vtune.dataset.sources.delimited import read_rows
from vtune.dataset.sources.tables import Record, Table
from vtune.errors import DataError

_BREAK = re.compile(r"\r\n|\r|\n")


class Layout(Protocol):
    """The rows of one text. ``spans[i]`` is where the i-th of ``Table.records()`` stands: ``text[start:end]``."""

    spans: list[Span]

    def with_words(self, row: str, words: str) -> str:
        """Return the text of a row with other words. :raises DataError: the row cannot hold them."""
        ...

    def with_flags(self, row: str, flags: str) -> str:
        """Return the text of a row with other red flags. :raises DataError: the table has no place for them."""
        ...

    def new_row(self, like: str | None, name: str, words: str) -> str:
        """Return the text of a row that is new, or is ``like`` another in all other columns."""
        ...

    def join(self, rows: list[str]) -> str:
        """Return the text of several rows that take the place of one."""
        ...

    def without(self, row: int) -> Span:
        """Return what goes when a row goes: itself, and what parts it from the next."""
        ...

    def insertion(self, row: int, text: str) -> tuple[int, str]:
        """Return where a row is put to become number ``row``, and what is put there."""
        ...

    def bare(self, text: str) -> str:
        """Return a row without what parts it from others."""
        ...


class CellRows(LineRows):
    """Rows of cells with a delimiter; a row is its line, or the lines that a quoted cell reaches over."""

    _breaks = ("\n", "\r")

    def __init__(self, table: Table, text: str, records: list[Record]) -> None:
        self._table, self._text = table, text
        starts = list(itertools.accumulate(map(len, io.StringIO(text, newline="")), initial=0))
        ends = {}
        for line, cells, problem in read_rows(table.path, table.encoding, table.delimiter):
            # A row that cannot be parsed is one line, whatever its quotes say.
            ends[line] = line + (0 if problem else sum(len(_BREAK.findall(cell)) for cell in cells))
        self.spans = [(starts[record.line - 1], starts[ends[record.line]]) for record in records]
        names = table.columns.header or tuple(str(place) for place in range(1, table.columns.width + 1))
        self._audio, self._words = names.index(table.columns.audio), names.index(table.columns.text)
        self._flags = names.index(FLAGS_COLUMN) if FLAGS_COLUMN in names else None
        found = _BREAK.search(text)
        self._end = found[0] if found else "\n"

    def with_words(self, row: str, words: str) -> str:
        """Change one cell."""
        return self._with(row, self._words, words)

    def with_flags(self, row: str, flags: str) -> str:
        """Change one cell."""
        if self._flags is None:
            raise DataError(f"{self._table.path} has no column {FLAGS_COLUMN!r}")
        return self._with(row, self._flags, flags)

    def new_row(self, like: str | None, name: str, words: str) -> str:
        """Copy all other cells, or leave them empty."""
        row = like if like is not None else self._table.delimiter * (self._table.columns.width - 1) + self._end
        return self._with(self._with(row, self._audio, name), self._words, words)

    def _with(self, row: str, place: int, value: str) -> str:
        start, end = self._cells(row)[place]
        return row[:start] + self._cell(value, quoted=row[start : start + 1] == '"') + row[end:]

    def _cell(self, value: str, *, quoted: bool) -> str:
        delimiter = self._table.delimiter
        if delimiter == "|":
            if "|" in value:
                raise DataError(f"{self._table.path} parts its cells with '|', so words cannot hold one")
            return value
        if quoted or delimiter in value or '"' in value:
            return '"' + value.replace('"', '""') + '"'
        return value

    def _cells(self, row: str) -> list[Span]:
        delimiter = self._table.delimiter
        plain = rf"[^{re.escape(delimiter)}\r\n]*"
        cell = re.compile(plain if delimiter == "|" else rf'"(?:[^"]|"")*"|{plain}')
        spans, place = [], 0
        while found := cell.match(row, place):
            spans.append(found.span())
            place = found.end() + 1
            if row[found.end() : place] != delimiter:
                break
        width = self._table.columns.width
        if len(spans) < width or any(row[start:end].strip() for start, end in spans[width:]):
            raise DataError(f"{self._table.path}: this row has {len(spans)} cells where there are {width} columns")
        return spans


def layout_of(table: Table, text: str, records: list[Record]) -> Layout:
    """Find the rows of a table in its text."""
    escaped = table.encoding == "cp1252" or (text.isascii() and "\\u" in text)
    if table.kind == "JSON Lines":
        return JsonLines(table, text, [record.line for record in records], escaped=escaped)
    if table.kind == "JSON list":
        return (JsonPairs if text.lstrip().startswith("{") else JsonList)(table, text, escaped=escaped)
    return CellRows(table, text, records)
