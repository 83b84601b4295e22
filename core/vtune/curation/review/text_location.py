"""Edit the words of one clip where they are stored: in a row of a table, or in a text file beside the recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vtune.curation.review.clip_split import name_of
from vtune.dataset.editing.edit import Change, EditableTable, OnChange
from vtune.dataset.editing.sidecars import EditableSidecar
from vtune.errors import DataError

Halves = Sequence[tuple[Path, str]]
"""Two new recordings with their words."""


class TextLocation(Protocol):
    """The location of a clip's words. Each method calls ``on_change`` with the change before it makes the change.

    :raises DataError: the location cannot hold the new value, or somebody else changed it.
    """

    @property
    def path(self) -> Path:
        """The file that is edited."""
        ...

    def set_words(self, words: str, on_change: OnChange) -> Change:
        """Change the words."""
        ...

    def set_flags(self, flags: str, on_change: OnChange) -> Change:
        """Change the red flags."""
        ...

    def drop(self, on_change: OnChange) -> Change:
        """Remove the words."""
        ...

    def put_back(self, dropped: Change, on_change: OnChange) -> Change:
        """Put dropped words back."""
        ...

    def split(self, old: Path, halves: Halves, on_change: OnChange) -> Change:
        """Replace the recording ``old`` by two new recordings."""
        ...

    def add(self, name: str, words: str, on_change: OnChange) -> Change:
        """Add words for a recording that has none."""
        ...

    def texts(self, halves: Halves) -> dict[Path, str]:
        """Return the text files that must be written for ``split``."""
        ...


@dataclass(frozen=True, slots=True)
class TableLocation:
    """A row of a table.

    :param root: the folder that recordings are looked for in.
    """

    table: EditableTable
    row: int
    root: Path

    @property
    def path(self) -> Path:
        """The table."""
        return self.table.path

    def set_words(self, words: str, on_change: OnChange) -> Change:
        """Change the cell of this row."""
        return self.table.set_words(self.row, words, on_change)

    def set_flags(self, flags: str, on_change: OnChange) -> Change:
        """Change the cell of this row."""
        return self.table.set_flags(self.row, flags, on_change)

    def drop(self, on_change: OnChange) -> Change:
        """Remove the row. :raises DataError: the row is the last one."""
        if len(self.table.records) == 1:
            raise DataError(
                f"{self.table.path}: the last row cannot be dropped; delete the table if you do not want it"
            )
        return self.table.drop(self.row, on_change)

    def put_back(self, dropped: Change, on_change: OnChange) -> Change:
        """Put the row back as row number ``row``."""
        return self.table.put_back(self.row, dropped, on_change)

    def split(self, old: Path, halves: Halves, on_change: OnChange) -> Change:
        """Replace the row by two rows."""
        old_name = self.table.records[self.row].audio
        rows = [(name_of(new, old, old_name, self.table.path, self.root), words) for new, words in halves]
        return self.table.replace(self.row, rows, on_change)

    def add(self, name: str, words: str, on_change: OnChange) -> Change:
        """Add a row at the end."""
        return self.table.add(name, words, on_change)

    def texts(self, halves: Halves) -> dict[Path, str]:
        """Return no files, because the table holds the words."""
        return {}


@dataclass(frozen=True, slots=True)
class SidecarLocation:
    """A text file beside a recording."""

    text: EditableSidecar

    @property
    def path(self) -> Path:
        """The text file."""
        return self.text.path

    def set_words(self, words: str, on_change: OnChange) -> Change:
        """Write the new text."""
        return self.text.set_words(words, on_change)

    def set_flags(self, flags: str, on_change: OnChange) -> Change:
        """Raise ``DataError``, because a text file has no red flags."""
        raise DataError(f"{self.text.path} cannot hold red flags")

    def drop(self, on_change: OnChange) -> Change:
        """Delete the text."""
        return self.text.drop(on_change)

    def put_back(self, dropped: Change, on_change: OnChange) -> Change:
        """Write the text again."""
        return self.text.undo(dropped, on_change)

    def split(self, old: Path, halves: Halves, on_change: OnChange) -> Change:
        """Delete the old text."""
        return self.text.drop(on_change)

    def add(self, name: str, words: str, on_change: OnChange) -> Change:
        """Write the file."""
        return self.text.set_words(words, on_change)

    def texts(self, halves: Halves) -> dict[Path, str]:
        """Return one text file for each half."""
        return {recording.with_suffix(self.text.path.suffix): words + "\n" for recording, words in halves}
