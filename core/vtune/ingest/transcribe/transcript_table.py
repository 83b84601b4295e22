"""Read and write the table of transcripts as rows of cells, so that the user's additional columns are kept."""

from __future__ import annotations

import codecs
import csv
import io
import os
from dataclasses import dataclass, field
from pathlib import Path

from vtune.dataset.sources.columns import FLAGS_COLUMN, WRITTEN_OUT_COLUMN
from vtune.dataset.sources.formats.delimited import DelimitedTable, read_rows
from vtune.dataset.sources.tables import open_table
from vtune.errors import DataError
from vtune.runtime.paths import write_text


@dataclass(slots=True)
class TranscriptTable:
    """A table of transcripts with a header.

    :param mark: the file starts with a byte order mark, which spreadsheets need.
    :param audio: index of the column that names the recording.
    :param text: index of the column with the words.
    :param flags: index of the column with the red flags.
    :param written_out: index of the column with the numerals that the words have in letters; None if there is none yet.
    """

    path: Path
    header: list[str]
    rows: list[list[str]] = field(default_factory=list)
    delimiter: str = ","
    mark: bool = False
    audio: int = 0
    text: int = 1
    flags: int = 2
    written_out: int | None = None

    def cells(self, row: int) -> tuple[str, str]:
        """Return the words and the red flags of a row."""
        return self.rows[row][self.text], self.rows[row][self.flags]

    def put(self, row: int | None, name: str, text: str, flags: str, written_out: str = "") -> None:
        """Change the words, red flags and written out numerals of a row; add a row if ``row`` is None."""
        if written_out and self.written_out is None:
            self.written_out = len(self.header)
            self.header.append(WRITTEN_OUT_COLUMN)
            for others in self.rows:
                others.append("")
        cells = [""] * len(self.header) if row is None else self.rows[row]
        if row is None:
            cells[self.audio] = name
            self.rows.append(cells)
        cells[self.text], cells[self.flags] = text, flags
        if self.written_out is not None:
            cells[self.written_out] = written_out

    def write(self) -> None:
        """Write the table; the file is replaced in one step."""
        out = io.StringIO(newline="")
        writer = csv.writer(out, delimiter=self.delimiter, lineterminator="\n")
        writer.writerow(self.header)
        writer.writerows(self.rows)
        write_text(self.path, ("\ufeff" if self.mark else "") + out.getvalue())


def new_table(path: Path) -> TranscriptTable:
    """Return an empty table."""
    return TranscriptTable(path, ["filename", "text", FLAGS_COLUMN])


def read_table(path: Path) -> TranscriptTable | None:
    """Read a table; return None if it does not exist or is empty.

    :raises DataError: the file is not a table with a header, or a row cannot be read. The file stays unchanged.
    """
    if not os.path.lexists(path):
        return None
    if not os.path.isfile(path):
        raise DataError(f"{path} is not a plain file; name another output")
    if not path.stat().st_size:
        return None
    table = open_table(path)
    if not isinstance(table, DelimitedTable) or table.names_are_guessed or table.delimiter == "|":
        raise DataError(f"{path} is not a CSV file with a header; name another output")
    rows: list[list[str]] = []
    for line, cells, problem in read_rows(path, table.encoding, table.delimiter):
        width = len(rows[0]) if rows else len(cells)
        if problem is None and (len(cells) < width or any(cell.strip() for cell in cells[width:])):
            problem = (
                f"the row has {len(cells)} cells, the header has {width}; quote words that contain {table.delimiter!r}"
            )
        if problem is not None:
            raise DataError(f"{path}:{line}: {problem}; correct the row, or name another output (nothing was changed)")
        rows.append(cells[:width])
    header = rows.pop(0)
    names = [name.strip() for name in header]
    if tuple(names) != table.columns.header:
        raise DataError(f"{path} has lines above its header; take them out, or name another output")
    if FLAGS_COLUMN not in names:
        names.append(FLAGS_COLUMN)
        header.append(FLAGS_COLUMN)
        rows = [[*cells, ""] for cells in rows]
    with path.open("rb") as file:
        mark = file.read(3) == codecs.BOM_UTF8
    audio, text, flags = (names.index(name) for name in (table.columns.audio, table.columns.text, FLAGS_COLUMN))
    written_out = names.index(WRITTEN_OUT_COLUMN) if WRITTEN_OUT_COLUMN in names else None
    return TranscriptTable(path, header, rows, table.delimiter, mark, audio, text, flags, written_out)
