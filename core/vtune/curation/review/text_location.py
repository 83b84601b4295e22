"""Where the words of one clip stand: a row of a table, or a text file beside the recording; edited alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vtune.curation.review.split import name_of
from vtune.dataset.editing.edit import Change, EditableTable, OnChange
from vtune.dataset.editing.sidecars import EditableSidecar
from vtune.errors import DataError

Halves = Sequence[tuple[Path, str]]
"""New recordings and their words."""


class Place(Protocol):
    """A place of words. Each method tells ``on_change`` of the change before it is made.

    :raises DataError: the place cannot hold what it is given, or was changed by somebody else.
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
        """Take the words away."""
        ...

    def put_back(self, dropped: Change, on_change: OnChange) -> Change:
        """Put dropped words back."""
        ...

    def split(self, old: Path, halves: Halves, on_change: OnChange) -> Change:
        """Let new recordings take the place of ``old``."""
        ...

    def add(self, name: str, words: str, on_change: OnChange) -> Change:
        """Give a recording without words its first."""
        ...

    def texts(self, halves: Halves) -> dict[Path, str]:
        """Return the text files that ``split`` relies on."""
        ...


@dataclass(frozen=True, slots=True)
class TableRow:
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
        """Change the cell."""
        return self.table.set_words(self.row, words, on_change)

    def set_flags(self, flags: str, on_change: OnChange) -> Change:
        """Change the cell."""
        return self.table.set_flags(self.row, flags, on_change)

    def drop(self, on_change: OnChange) -> Change:
        """Take the row out. :raises DataError: it is the last."""
        if len(self.table.records) == 1:
            raise DataError(f"{self.table.path}: the last row stays; delete the table if none is wanted")
        return self.table.drop(self.row, on_change)

    def put_back(self, dropped: Change, on_change: OnChange) -> Change:
        """Put the row back to become number ``row``."""
        return self.table.put_back(self.row, dropped, on_change)

    def split(self, old: Path, halves: Halves, on_change: OnChange) -> Change:
        """Let two rows take the place of one."""
        told = self.table.records[self.row].audio
        rows = [(name_of(new, old, told, self.table.path, self.root), words) for new, words in halves]
        return self.table.replace(self.row, rows, on_change)

    def add(self, name: str, words: str, on_change: OnChange) -> Change:
        """Add a row at the end."""
        return self.table.add(name, words, on_change)

    def texts(self, halves: Halves) -> dict[Path, str]:
        """None: the table has the words."""
        return {}


@dataclass(frozen=True, slots=True)
class Beside:
    """A text file beside a recording."""

    text: EditableSidecar

    @property
    def path(self) -> Path:
        """The text file."""
        return self.text.path

    def set_words(self, words: str, on_change: OnChange) -> Change:
        """Change the text."""
        return self.text.set_words(words, on_change)

    def set_flags(self, flags: str, on_change: OnChange) -> Change:
        """A text has none."""
        raise DataError(f"{self.text.path} has no place for red flags")

    def drop(self, on_change: OnChange) -> Change:
        """Delete the text."""
        return self.text.drop(on_change)

    def put_back(self, dropped: Change, on_change: OnChange) -> Change:
        """Write the text anew."""
        return self.text.undo(dropped, on_change)

    def split(self, old: Path, halves: Halves, on_change: OnChange) -> Change:
        """Delete the old text."""
        return self.text.drop(on_change)

    def add(self, name: str, words: str, on_change: OnChange) -> Change:
        """Write the file."""
        return self.text.set_words(words, on_change)

    def texts(self, halves: Halves) -> dict[Path, str]:
        """One for each half."""
        return {recording.with_suffix(self.text.path.suffix): words + "\n" for recording, words in halves}
