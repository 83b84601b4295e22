"""Spreadsheets of Excel, LibreOffice and similar programs: the first sheet that holds rows is a table like CSV.

Memory: the cells of the sheet. Words cannot be edited in place; save the sheet as CSV for that.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from vtune.dataset.sources.column_table import ColumnTable
from vtune.dataset.sources.columns import FLAGS_COLUMN, SAMPLE_ROWS, ColumnChoice
from vtune.dataset.sources.headers import columns_below, find_header
from vtune.dataset.sources.part_times import WHOLE_RECORDING
from vtune.dataset.sources.table import TableFormat, TableRecord, make_record
from vtune.errors import DataError, reason

MAX_UNPACKED_BYTES = 1 << 30
"""Bytes of an unpacked file, which is a zip; a small file that unpacks to more is no spreadsheet of clips."""


class SpreadsheetFormat(TableFormat):
    """Rows of cells in a file of a spreadsheet program."""

    name = "spreadsheet"
    endings = (".xlsx", ".xlsm", ".xls", ".ods")

    def open(self, path: Path, choice: ColumnChoice) -> SpreadsheetTable:
        """Find the sheet, its header and its columns."""
        sheet, rows = _read_sheet(path)
        if not rows:
            raise DataError(f"{path} has no rows")
        header = find_header(rows[:SAMPLE_ROWS], choice)
        sample = [cells for line, cells in rows[:SAMPLE_ROWS] if header is None or line > header.line]
        columns = columns_below(path, header, sample, choice)
        return SpreadsheetTable(path, "utf-8", columns, sheet, header.line if header else 0)


@dataclass(frozen=True, slots=True)
class SpreadsheetTable(ColumnTable):
    """One sheet of a spreadsheet.

    :param sheet: name of the sheet.
    :param header_line: the row of the header, counted from 1; 0 if there is none.
    """

    sheet: str
    header_line: int

    @property
    def format(self) -> TableFormat:
        """A spreadsheet."""
        return FORMAT

    def describe(self) -> str:
        """Name the sheet and the columns."""
        return self._described(f"spreadsheet, sheet {self.sheet!r}", self.columns.describe())

    def records(self) -> Iterator[TableRecord]:
        """Yield every row after the header; its line is the number that the spreadsheet program shows."""
        columns = self.columns
        for line, cells in _read_sheet(self.path)[1]:
            if line <= self.header_line:
                continue
            row = dict(zip(columns.names, cells, strict=False))
            times = columns.times.read(row) if columns.times else WHOLE_RECORDING
            speaker = row.get(columns.speaker) if columns.speaker else None
            audio, text = row.get(columns.audio), row.get(columns.text)
            yield make_record(line, audio, text, speaker, flags=row.get(FLAGS_COLUMN), times=times)


def _read_sheet(path: Path) -> tuple[str, list[tuple[int, list[str]]]]:
    """Return the name of the first sheet that holds rows, and number and cells of its rows that are not blank.

    :raises DataError: the extra is not installed, or the file is not a spreadsheet, has a password or is too large.
    """
    try:
        from python_calamine import CalamineError, CalamineWorkbook
    except ImportError as error:
        raise DataError(
            f"{path} is a spreadsheet: save it as CSV, or install vtune-tts with the extra 'spreadsheet'"
        ) from error
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as parts:
                size = sum(part.file_size for part in parts.infolist())
            if size > MAX_UNPACKED_BYTES:
                raise DataError(f"{path} unpacks to {size / 2**30:.1f} GiB, too much for a table; save it as CSV")
        with CalamineWorkbook.from_path(path) as workbook:
            for name in workbook.sheet_names:
                sheet = workbook.get_sheet_by_name(name)
                rows = _rows_of(sheet.to_python(skip_empty_area=False))
                if rows:
                    return name, rows
            return workbook.sheet_names[0] if workbook.sheet_names else "", []
    except (OSError, zipfile.BadZipFile, CalamineError) as error:
        raise DataError(f"{path} cannot be read as a spreadsheet: {reason(error)}; save it as CSV") from error


def _rows_of(sheet: Sequence[Sequence[Any]]) -> list[tuple[int, list[str]]]:
    rows = [(line, [_text(value) for value in values]) for line, values in enumerate(sheet, 1)]
    rows = [(line, cells) for line, cells in rows if any(map(str.strip, cells))]
    # Columns that are empty in every row are the edges of the sheet.
    used = [any(cells[column].strip() for _, cells in rows) for column in range(len(rows[0][1]))] if rows else []
    return [(line, [cell for cell, is_used in zip(cells, used, strict=True) if is_used]) for line, cells in rows]


def _text(value: Any) -> str:
    """Return a cell as it would stand in a CSV file; a whole number has no decimals."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, timedelta):
        return str(value.total_seconds())
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return str(value)


FORMAT = SpreadsheetFormat()
