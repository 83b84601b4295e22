"""M-AILABS: ``by_book/female/mary_ann/midnight_passenger/metadata.csv`` beside ``wavs/``; the speaker is a folder.

The table is LJSpeech's, ``name|text|normalized``, several folders down. ``by_book/mix/BOOK`` names no reader.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

from vtune.dataset.sources.columns import ColumnChoice
from vtune.dataset.sources.formats import delimited
from vtune.dataset.sources.table import Certainty, FormatEvidence, TableFormat, TableRecord

_READERS_FOLDERS = ("female", "male")


class MailabsFormat(TableFormat):
    """A table for each book, in a folder for each reader."""

    name = "M-AILABS table"
    endings = (".csv",)
    max_depth = 5  # en_US/by_book/female/mary_ann/midnight_passenger
    allows_several = True

    def has_name(self, name: str, *, is_given: bool) -> bool:
        """Take ``metadata.csv``."""
        return name.lower() == "metadata.csv"

    def evidence(self, path: Path) -> FormatEvidence | None:
        """Look at the folders: ``female`` or ``male`` two above the table's, and ``wavs`` beside it."""
        folder = path.absolute().parent
        if folder.parent.parent.name not in _READERS_FOLDERS and folder.parent.name != "mix":
            return None
        if not (folder / "wavs").is_dir():
            return None
        return FormatEvidence(Certainty.BY_CONTENT, f"it lies in {'/'.join(folder.parts[-3:])} beside wavs")

    def open(self, path: Path, choice: ColumnChoice) -> MailabsTable:
        """Open LJSpeech's table, and name the reader."""
        table = delimited.FORMAT.open(path, choice)
        return MailabsTable(**{field.name: getattr(table, field.name) for field in fields(table)})


@dataclass(frozen=True, slots=True)
class MailabsTable(delimited.DelimitedTable):
    """The table of one book."""

    @property
    def format(self) -> TableFormat:
        """M-AILABS."""
        return FORMAT

    @property
    def has_speakers(self) -> bool:
        """A folder has the name of the reader."""
        return True

    def speaker_in(self, name: str) -> str:
        """Return the name of the reader's folder, whatever the name of the recording."""
        reader = self.path.absolute().parent.parent
        return reader.name if reader.parent.name in _READERS_FOLDERS else ""

    def describe(self) -> str:
        """Name the reader beside what a table says."""
        reader = self.speaker_in("")
        return (
            f"{delimited.DelimitedTable.describe(self)}, the reader is {reader!r}"
            if reader
            else delimited.DelimitedTable.describe(self)
        )

    def records(self) -> Iterator[TableRecord]:
        """Yield every row with the reader."""
        reader = self.speaker_in("")
        for record in delimited.DelimitedTable.records(self):
            yield replace(record, speaker=record.speaker or reader)


FORMAT = MailabsFormat()
