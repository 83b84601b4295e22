"""CSV, TSV and pipe tables, with or without a header; a broken row costs no other row.

LJSpeech's ``id|text|normalized`` is one of them: no header, the first cell names the recording, the last has the words.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vtune.dataset.sources.columns import (
    AUDIO_COLUMNS,
    FLAGS_COLUMN,
    TEXT_COLUMNS,
    ColumnChoice,
    Columns,
    listed,
    pick_columns,
)
from vtune.dataset.sources.layout import LineLayout, Span
from vtune.dataset.sources.plain_text import encoding_of, open_text
from vtune.dataset.sources.table import Table, TableFormat, TableRecord, make_record
from vtune.errors import DataError

DELIMITERS = {",": "CSV", "\t": "TSV", ";": "CSV with ';'", "|": "table with '|'"}
"""What a table is called, by its delimiter."""

_LINE_BREAK = re.compile(r"\r\n|\r|\n")


class DelimitedFormat(TableFormat):
    """Rows of cells with a delimiter between them."""

    name = "CSV, TSV or pipes"
    endings = (".csv", ".tsv", ".txt")
    sure_endings = (".csv", ".tsv")

    def open(self, path: Path, choice: ColumnChoice) -> DelimitedTable:
        """Find delimiter, header and columns in the first row."""
        encoding = encoding_of(path)
        delimiter = delimiter_of(path, encoding)
        rows = read_rows(path, encoding, delimiter)
        line, first = next(((line, cells) for line, cells, problem in rows if not problem), (0, []))
        if not first:
            raise DataError(f"{path} has no rows")
        header = tuple(cell.strip() for cell in first)
        lowered = {name.lower() for name in header}
        has_header = bool(lowered & {*AUDIO_COLUMNS, *TEXT_COLUMNS} or {choice.audio, choice.text} & set(header))
        if has_header or len(header) < 2:
            return DelimitedTable(path, encoding, pick_columns(path, line, header, choice), delimiter)
        if choice.names:
            raise DataError(f"{path} has no header, so no column can be named {choice.names[0]!r}")
        if delimiter in ",;" and len(header) > 2:
            raise DataError(
                f"{path}:{line} has {len(header)} cells, {listed(header)}, and no header says which holds the words; "
                f"begin the table with a line like filename{delimiter}text"
            )
        return DelimitedTable(path, encoding, Columns("1", str(len(header)), None, None, len(header)), delimiter)


@dataclass(frozen=True, slots=True)
class DelimitedTable(Table):
    """One CSV, TSV or pipe table."""

    columns: Columns
    delimiter: str

    @property
    def format(self) -> TableFormat:
        """CSV, TSV or pipes."""
        return FORMAT

    @property
    def has_speakers(self) -> bool:
        """Whether a column names the speaker."""
        return self.columns.speaker is not None

    @property
    def names_are_guessed(self) -> bool:
        """Whether there is no header."""
        return self.columns.header is None

    def describe(self) -> str:
        """Name delimiter, encoding and columns."""
        return self._described(DELIMITERS[self.delimiter], self.columns.describe())

    def column_names(self) -> tuple[str, ...]:
        """Return the names of the columns: those of the header, else numbers counted from 1."""
        return self.columns.header or tuple(str(number) for number in range(1, self.columns.width + 1))

    def records(self) -> Iterator[TableRecord]:
        """Yield every row after the header."""
        columns, width = self.columns, self.columns.width
        names = self.column_names()
        audio, text = names.index(columns.audio), names.index(columns.text)
        speaker = names.index(columns.speaker) if columns.speaker else None
        flags = names.index(FLAGS_COLUMN) if FLAGS_COLUMN in names else None
        is_header = columns.header is not None
        for line, cells, problem in read_rows(self.path, self.encoding, self.delimiter):
            if is_header and problem is None:
                is_header = False
                continue
            # Spreadsheets pad rows with empty cells.
            if len(cells) < width or any(cell.strip() for cell in cells[width:]):
                problem = problem or self._wrong_width(len(cells))
            if problem:
                name = cells[audio] if audio < len(cells) else ""
                yield make_record(line, name, "", problem=problem)
            else:
                who = cells[speaker] if speaker is not None else None
                doubts = cells[flags] if flags is not None else None
                yield make_record(line, cells[audio], cells[text], who, flags=doubts)

    def layout(self, text: str, records: list[TableRecord]) -> CellLayout:
        """Find the lines of each row."""
        return CellLayout(self, text, records)

    def _wrong_width(self, count: int) -> str:
        where = "header" if self.columns.header else "first row"
        hint = f"; quote words that hold {self.delimiter!r}" if count > self.columns.width else ""
        return f"{count} {'cell' if count == 1 else 'cells'} where the {where} has {self.columns.width}{hint}"


class _QuotedDialect(csv.excel):
    strict = True  # else a quote that is never closed swallows the rows after it


class _PipeDialect(csv.excel):
    quoting = csv.QUOTE_NONE  # LJSpeech's words hold quotes that mean nothing


def delimiter_of(path: Path, encoding: str) -> str:
    """Return the delimiter of a table, found in its first line that is not blank."""
    with open_text(path, encoding) as file:
        first = next((line for line in file if line.strip()), "")
    # In LJSpeech's form the words hold commas, so a pipe decides.
    return "|" if "|" in first else max(DELIMITERS, key=first.count)


def read_rows(path: Path, encoding: str, delimiter: str) -> Iterator[tuple[int, list[str], str | None]]:
    """Yield line, cells and problem of every row that is not blank.

    A row that cannot be parsed is one line: reading goes on at the next, however far its open quote reached.
    """
    dialect = _PipeDialect if delimiter == "|" else _QuotedDialect
    with open_text(path, encoding, newline="") as file:
        unread: deque[str] = deque()
        read: list[str] = []

        def lines() -> Iterator[str]:
            while line := unread.popleft() if unread else file.readline():
                read.append(line)
                yield line

        line = 1
        while True:
            read.clear()
            problem = None
            try:
                cells = next(csv.reader(lines(), dialect, delimiter=delimiter))
            except StopIteration:
                return
            except csv.Error as error:
                problem = f"cannot be parsed: {error}; a quote inside quoted words is written twice"
                cells = read[0].rstrip("\r\n").split(delimiter)
                unread.extendleft(reversed(read[1:]))
                del read[1:]
            if any(cell.strip() for cell in cells):
                yield line, cells, problem
            line += len(read)


class CellLayout(LineLayout):
    """Rows of cells with a delimiter; a row is its line, or the lines that a quoted cell reaches over."""

    _breaks = ("\n", "\r")

    def __init__(self, table: DelimitedTable, text: str, records: list[TableRecord]) -> None:
        self._table, self._text = table, text
        starts = list(itertools.accumulate(map(len, io.StringIO(text, newline="")), initial=0))
        ends = {}
        for line, cells, problem in read_rows(table.path, table.encoding, table.delimiter):
            # A row that cannot be parsed is one line, whatever its quotes say.
            ends[line] = line + (0 if problem else sum(len(_LINE_BREAK.findall(cell)) for cell in cells))
        self.spans = [(starts[record.line - 1], starts[ends[record.line]]) for record in records]
        names = table.column_names()
        self._audio, self._words = names.index(table.columns.audio), names.index(table.columns.text)
        self._flags = names.index(FLAGS_COLUMN) if FLAGS_COLUMN in names else None
        line_break = _LINE_BREAK.search(text)
        self._end = line_break[0] if line_break else "\n"

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

    def _with(self, row: str, column: int, value: str) -> str:
        start, end = self._cells(row)[column]
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
        spans, start = [], 0
        while match := cell.match(row, start):
            spans.append(match.span())
            start = match.end() + 1
            if row[match.end() : start] != delimiter:
                break
        width = self._table.columns.width
        if len(spans) < width or any(row[start:end].strip() for start, end in spans[width:]):
            raise DataError(f"{self._table.path}: this row has {len(spans)} cells where there are {width} columns")
        return spans


FORMAT = DelimitedFormat()
