"""CSV, TSV and pipe tables, with or without a header; a broken row costs no other row.

A table may begin with Excel's line ``sep=;`` and with title rows above its header. Which column is which is told by
``vtune.dataset.sources.columns``.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vtune.dataset.sources.column_table import ColumnTable
from vtune.dataset.sources.columns import FLAGS_COLUMN, SAMPLE_ROWS, ColumnChoice, is_usual
from vtune.dataset.sources.headers import MAX_TITLE_ROWS, columns_below, find_header
from vtune.dataset.sources.layout import LineLayout, Span
from vtune.dataset.sources.part_times import WHOLE_RECORDING
from vtune.dataset.sources.plain_text import encoding_of, open_text
from vtune.dataset.sources.table import TableFormat, TableRecord, make_record
from vtune.errors import DataError

DELIMITERS = {",": "CSV", "\t": "TSV", ";": "CSV with ';'", "|": "table with '|'"}
"""What a table is called, by its delimiter."""

MIN_SPREAD_BYTES = 1 << 18
SPREAD_WINDOWS, SPREAD_WINDOW_BYTES = 4, 1 << 15
"""Of a larger table, so many windows of so many bytes are looked at as well, evenly spread over the file."""

_EXCEL_SEPARATOR = re.compile(r'"?sep=([,;|\t])"?', re.IGNORECASE)
_LINE_BREAK = re.compile(r"\r\n|\r|\n")


class DelimitedFormat(TableFormat):
    """Rows of cells with a delimiter between them."""

    name = "CSV, TSV or pipes"
    endings = (".csv", ".tsv", ".txt")
    sure_endings = (".csv", ".tsv")

    def open(self, path: Path, choice: ColumnChoice) -> DelimitedTable:
        """Find delimiter, header and columns in a sample of the rows."""
        encoding = encoding_of(path)
        delimiter, first_line = delimiter_of(path, encoding)
        sample = itertools.islice(read_rows(path, encoding, delimiter), SAMPLE_ROWS)
        rows = [(line, cells) for line, cells, problem in sample if not problem and line >= first_line]
        if not rows:
            raise DataError(f"{path} has no rows")
        header = find_header(rows, choice)
        cells = [cells for line, cells in rows if header is None or line > header.line]
        width = len(header.cells) if header else len(cells[0])
        cells += _later_rows(path, encoding, delimiter)
        full = [row for row in cells if len(row) >= width and not any(map(str.strip, row[width:]))]
        if header is None and delimiter in ",;" and width > 2 and _words_hold_delimiters(cells, len(full)):
            raise DataError(
                f"{path} has no header, and {delimiter!r} seems to stand in the words as well as between cells; quote "
                f"the words, and begin the table with a line like filename{delimiter}text"
            )
        columns = columns_below(path, header, [row[:width] for row in full], choice)
        return DelimitedTable(path, encoding, columns, delimiter, header.line if header else first_line - 1)


@dataclass(frozen=True, slots=True)
class DelimitedTable(ColumnTable):
    """One CSV, TSV or pipe table.

    :param header_line: the last line that is above the rows; 0 if the rows begin with the file.
    """

    delimiter: str
    header_line: int

    @property
    def format(self) -> TableFormat:
        """CSV, TSV or pipes."""
        return FORMAT

    def describe(self) -> str:
        """Name delimiter, encoding and columns."""
        return self._described(DELIMITERS[self.delimiter], self.columns.describe())

    def records(self) -> Iterator[TableRecord]:
        """Yield every row after the header."""
        columns, width = self.columns, self.columns.width
        names = columns.names
        audio, text = names.index(columns.audio), names.index(columns.text)
        speaker = names.index(columns.speaker) if columns.speaker else None
        flags = names.index(FLAGS_COLUMN) if FLAGS_COLUMN in names else None
        for line, cells, problem in read_rows(self.path, self.encoding, self.delimiter):
            if line <= self.header_line and problem is None:
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
                times = columns.times.read(dict(zip(names, cells, strict=False))) if columns.times else WHOLE_RECORDING
                yield make_record(line, cells[audio], cells[text], who, flags=doubts, times=times)

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


def delimiter_of(path: Path, encoding: str) -> tuple[str, int]:
    """Return the delimiter of a table, and the line that the rows begin at: 2 after Excel's ``sep=;``, else 1.

    The delimiter parts most lines into the same number of cells: titles above the header have none, words hold some.
    """
    with open_text(path, encoding) as file:
        lines = [line for line in itertools.islice(file, SAMPLE_ROWS) if line.strip()]
    if lines and (named := _EXCEL_SEPARATOR.fullmatch(lines[0].strip())):
        return named[1], 2
    for number, line in enumerate(lines[:MAX_TITLE_ROWS]):
        for delimiter in DELIMITERS:
            headings = [cell.strip().strip('"') for cell in line.split(delimiter)]
            if len(headings) > 1 and sum(map(is_usual, headings)) > (0 if number == 0 else 1):
                return delimiter, 1
    counts = {delimiter: Counter(line.count(delimiter) for line in lines) for delimiter in DELIMITERS}
    present = {
        name: column_counts
        for name, column_counts in counts.items()
        if sum(column_counts.values()) - column_counts[0] >= len(lines) / 2
    }
    # In LJSpeech's form the words hold commas, so a pipe decides; so does a tab, which words do not hold.
    for decisive in ("|", "\t"):
        if decisive in present:
            return decisive, 1
    first = lines[0] if lines else ""
    if not present:
        return max(DELIMITERS, key=first.count), 1

    def steadiness(delimiter: str) -> tuple[int, int]:
        number, times = max(((n, t) for n, t in present[delimiter].items() if n), key=lambda pair: pair[1])
        return times, number

    return max(present, key=steadiness), 1


def _words_hold_delimiters(rows: Sequence[Sequence[str]], full: int) -> bool:
    """Tell whether unquoted words hold delimiters: rows differ in their cells, or cells begin with a blank.

    :param full: how many of the rows are as wide as the first.
    """
    blanks = sum(any(cell.startswith(" ") for cell in row[1:]) for row in rows)
    return full < len(rows) or blanks * 3 > len(rows)


def _later_rows(path: Path, encoding: str, delimiter: str) -> list[list[str]]:
    """Return rows from the middle and the end of a long table: a table may be sorted by speaker."""
    size = path.stat().st_size
    if size < MIN_SPREAD_BYTES or encoding == "utf-16":
        return []
    rows = []
    with path.open("rb") as file:
        for part in range(1, SPREAD_WINDOWS + 1):
            file.seek(size * part // (SPREAD_WINDOWS + 1))
            file.readline(SPREAD_WINDOW_BYTES)
            lines = file.read(SPREAD_WINDOW_BYTES).decode(encoding, "replace").splitlines()[:-1]
            try:
                rows += list(csv.reader(lines, _dialect(delimiter), delimiter=delimiter))
            except csv.Error:  # the window begins inside of a quoted cell
                continue
    return [cells for cells in rows if cells]


def read_rows(path: Path, encoding: str, delimiter: str) -> Iterator[tuple[int, list[str], str | None]]:
    """Yield line, cells and problem of every row that is not blank.

    A row that cannot be parsed is one line: reading continues at the next line, however far its open quote reached.
    """
    dialect = _dialect(delimiter)
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


def _dialect(delimiter: str) -> type[csv.excel]:
    return _PipeDialect if delimiter == "|" else _QuotedDialect


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
        names = table.columns.names
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
        """Return the text of a new row: with the other cells of ``like``, or with empty cells."""
        row = like if like is not None else self._table.delimiter * (self._table.columns.width - 1) + self._end
        return self._with(self._with(row, self._audio, name), self._words, words)

    def _with(self, row: str, column: int, value: str) -> str:
        start, end = self._cells(row)[column]
        return row[:start] + self._cell(value, quoted=row[start : start + 1] == '"') + row[end:]

    def _cell(self, value: str, *, quoted: bool) -> str:
        delimiter = self._table.delimiter
        if delimiter == "|":
            if "|" in value:
                raise DataError(
                    f"{self._table.path} separates its cells with '|', so words cannot contain that character"
                )
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
