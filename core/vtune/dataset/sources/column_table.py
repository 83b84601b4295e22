"""Tables whose rows have columns: CSV, spreadsheets, JSON."""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass

from vtune.dataset.sources.columns import Columns
from vtune.dataset.sources.table import Table


@dataclass(frozen=True, slots=True)
class ColumnTable(Table, ABC):
    """A table of which it is known which column is which."""

    columns: Columns

    @property
    def has_speakers(self) -> bool:
        """Whether a column names the speaker."""
        return self.columns.speaker is not None

    @property
    def has_times(self) -> bool:
        """Whether a column says where a row begins in its recording."""
        return bool(self.columns.times)

    @property
    def names_are_guessed(self) -> bool:
        """Whether the table has no header, so that its columns are chosen by their content."""
        return self.columns.header is None
