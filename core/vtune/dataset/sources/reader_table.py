"""Tables whose format an extension reads: see ``vtune.contract.tables.TableReader``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vtune.contract.tables import TableReader, TableRow
from vtune.dataset.sources.columns import ColumnChoice
from vtune.dataset.sources.part_times import PartTimes, checked_times
from vtune.dataset.sources.table import Certainty, FormatEvidence, Table, TableFormat, TableRecord, make_record
from vtune.engines.contributions import errors_of
from vtune.errors import DataError, EngineError, printable, shown


class ReaderFormat(TableFormat):
    """The table format that a reader of an extension makes.

    :param owner: the extension as errors name it: ``extension 'x' (x-tts 1.0)``.
    """

    def __init__(self, reader: TableReader, owner: str) -> None:
        self.name, self.endings = reader.name, reader.endings  # type: ignore[misc] # of an instance here
        self.sure_endings = reader.endings  # type: ignore[misc]
        self.reader = reader
        self.title = f"{owner}: table format {reader.name!r}"
        self.errors = errors_of(self.title, reader.read, reader.is_table)

    def evidence(self, path: Path) -> FormatEvidence | None:
        """Ask the reader, or go by the ending where the reader does not look at files."""
        if self.reader.is_table is None:
            return super().evidence(path)
        with self.errors.named("is_table"):
            is_table = self.reader.is_table(path)
        return FormatEvidence(Certainty.BY_CONTENT, f"{self.name} says so") if is_table else None

    def open(self, path: Path, choice: ColumnChoice) -> Table:
        """Read the first row."""
        self.refuse_columns(path, choice)
        table = ReaderTable(path, "utf-8", self)
        if next(table.records(), None) is None:
            raise DataError(f"{path} is a table ({self.name}) without rows")
        return table


@dataclass(frozen=True, slots=True)
class ReaderTable(Table):
    """One table that an extension reads."""

    table_format: ReaderFormat

    @property
    def format(self) -> TableFormat:
        """The format of the extension."""
        return self.table_format

    @property
    def has_speakers(self) -> bool:
        """Whether a row names a speaker."""
        return any(record.speaker for record in self.records())

    @property
    def has_times(self) -> bool:
        """Whether a row is a part of a recording."""
        return any(record.start is not None for record in self.records())

    def describe(self) -> str:
        """Name the format, and count the rows."""
        rows = sum(1 for _ in self.records())
        return self._described(self.table_format.name, f"{rows:,} rows, read by {self.table_format.title}")

    def records(self) -> Iterator[TableRecord]:
        """Yield the rows, each checked."""
        rows = self.table_format.errors.pieces("read", self._read())
        for number, row in enumerate(rows, 1):
            if not isinstance(row, TableRow):
                raise EngineError(
                    f"{self.table_format.title}: read yields {shown(row)}; it must yield vtune.contract.tables.TableRow"
                )
            line = row.line if isinstance(row.line, int) else number
            yield make_record(line, row.audio, row.text, row.speaker, row.problem, times=_times(row))

    def _read(self) -> Iterator[TableRow]:
        with self.table_format.errors.named("read"):
            rows = self.table_format.reader.read(self.path)
        yield from rows


def _times(row: TableRow) -> PartTimes:
    for seconds in (row.start, row.end):
        if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, int | float)):
            return PartTimes.unusable(f"the time {printable(shown(seconds))} is no number of seconds")
    return checked_times(row.start, row.end)
