"""Edit the rows of tables: what is not edited stays as it is, byte for byte.

A changed table is written to a temporary file and read back as training reads it. It replaces the old file only if
every row reads as it should.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from vtune.dataset.editing.text_file import TextFile, digest_of, read_bytes, read_text_file, replacing
from vtune.dataset.sources.columns import ColumnChoice
from vtune.dataset.sources.layout import TableLayout
from vtune.dataset.sources.plain_text import unfit_words
from vtune.dataset.sources.table import Table, TableRecord
from vtune.dataset.sources.tables import open_table
from vtune.errors import DataError


class StaleError(DataError):
    """Another program has changed a file since it was read."""


@dataclass(frozen=True, slots=True)
class Change:
    """One edit of one file, with all that is needed to undo it.

    :param row: number of the first row concerned, counted from 0; ``put`` new rows replaced ``took`` rows.
    :param start: position in the text at which ``new`` replaced ``old``; None stands for a file that does not exist.
    :param encoding: encoding of the file before the edit.
    :param was: digest of the file before the edit; ``now``, after it.
    """

    row: int
    took: int
    put: int
    start: int
    old: str | None
    new: str | None
    encoding: str
    was: str
    now: str


OnChange = Callable[[Change], None]
"""Called with a change just before it is made; an exception stops the change."""


def ignore_change(change: Change) -> None:
    """Do nothing with a change."""


def speakable_words(words: str) -> str:
    """Return words with single blanks for white space. :raises DataError: the words cannot be spoken."""
    joined = " ".join(words.split())
    if (problem := unfit_words(joined)) is not None:
        raise DataError("there are no words; drop the clip instead" if not joined else problem)
    return joined


class _Splice(NamedTuple):
    """A part of a table's text that is replaced.

    :param row: number of the first row that changes.
    :param took: number of rows that go.
    :param put: the records that the new rows must read as; None accepts any record.
    :param start: character of the text at which the part begins.
    """

    row: int
    took: int
    put: Sequence[TableRecord | None]
    start: int
    old: str
    new: str


class EditableTable:
    """Edits one table row by row; every edit is on disk when its method returns.

    All methods raise ``StaleError`` if another program has changed the file, and ``DataError`` if the table cannot hold
    the new values; the file is then untouched. ``on_change`` is called with each change before it is made.

    ``records`` are the rows as they are now, ``digest`` identifies the content of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        script, digest = read_text_file(path)
        table = open_table(path)
        self._hold(script, digest, table, list(table.records()))

    def set_words(self, row: int, words: str, on_change: OnChange = ignore_change) -> Change:
        """Change the words of a row."""
        words = speakable_words(words)
        text = self._layout.with_words(self._text(row), words)
        return self._exchange(row, [text], [_reworded(self.records[row], words)], on_change)

    def set_flags(self, row: int, flags: str, on_change: OnChange = ignore_change) -> Change:
        """Change the red flags of a row; empty ones approve it."""
        text = self._layout.with_flags(self._text(row), flags)
        return self._exchange(row, [text], [replace(self.records[row], red_flags=" ".join(flags.split()))], on_change)

    def drop(self, row: int, on_change: OnChange = ignore_change) -> Change:
        """Delete a row."""
        start, end = self._layout.without(row)
        splice = _Splice(row, 1, [], start, self._script.text[start:end], "")
        return self._splice(splice, on_change)

    def put_back(self, row: int, change: Change, on_change: OnChange = ignore_change) -> Change:
        """Insert a dropped row again, as number ``row``."""
        return self._insert(row, self._layout.bare(change.old or ""), None, on_change)

    def replace(self, row: int, rows: Sequence[tuple[str, str]], on_change: OnChange = ignore_change) -> Change:
        """Replace a row with new rows of recordings and words, which are like it in all other columns."""
        old, record = self._text(row), self.records[row]
        pairs = [(name, speakable_words(words)) for name, words in rows]
        texts = [self._layout.new_row(old, name, words) for name, words in pairs]
        return self._exchange(
            row, texts, [replace(_reworded(record, words), audio=name) for name, words in pairs], on_change
        )

    def add(self, name: str, words: str, on_change: OnChange = ignore_change) -> Change:
        """Add a row at the end."""
        words = speakable_words(words)
        text = self._layout.new_row(None, name, words)
        return self._insert(
            len(self.records), text, TableRecord(0, name, words, self._table.speaker_in(name)), on_change
        )

    def undo(self, change: Change, on_change: OnChange = ignore_change) -> Change:
        """Undo a change: byte for byte if the file is as the change left it, else in the rows that it wrote."""
        if change.old is None or change.new is None:
            raise DataError(f"{self.path}: this is not a change of a table")
        if self.digest == change.now:
            splice = _Splice(change.row, change.put, [None] * change.took, change.start, change.new, change.old)
            return self._splice(splice, on_change, change.encoding)
        if not change.put:
            return self.put_back(min(change.row, len(self.records)), change, on_change)
        text = change.new if change.took else self._layout.bare(change.new)
        row = self._find(text, change)
        if not change.took:
            return self.drop(row, on_change)
        start, end = self._layout.spans[row][0], self._layout.spans[row + change.put - 1][1]
        current = self._script.text[start:end]
        splice = _Splice(row, change.put, [None] * change.took, start, current, change.old)
        return self._splice(splice, on_change)

    def _find(self, text: str, change: Change) -> int:
        """Return the row at which the rows of a change begin, whatever their line ends are now."""
        spans, script_text, rows = self._layout.spans, self._script.text, text.rstrip("\r\n")
        starts = range(len(spans) - change.put + 1)
        ends = [spans[start + change.put - 1][1] for start in starts]
        matches = [n for n in starts if script_text[spans[n][0] : ends[n]].rstrip("\r\n") == rows]
        if len(matches) != 1:
            raise StaleError(f"{self.path}: another edit has changed this row since, so the edit cannot be undone")
        return matches[0]

    def _text(self, row: int) -> str:
        start, end = self._layout.spans[row]
        return self._script.text[start:end]

    def _insert(self, row: int, text: str, record: TableRecord | None, on_change: OnChange) -> Change:
        start, new = self._layout.insertion(row, text)
        return self._splice(_Splice(row, 0, [record], start, "", new), on_change)

    def _exchange(self, row: int, texts: list[str], records: Sequence[TableRecord], on_change: OnChange) -> Change:
        start, _ = self._layout.spans[row]
        splice = _Splice(row, 1, records, start, self._text(row), self._layout.join(texts))
        return self._splice(splice, on_change)

    def _splice(self, splice: _Splice, on_change: OnChange, encoding: str | None = None) -> Change:
        """Replace a part of the text and write the file.

        :param encoding: the encoding that an undo restores.
        """
        row, took, put, start, old, new = splice
        if digest_of(read_bytes(self.path)) != self.digest:
            raise StaleError(f"{self.path} was changed by another program since it was read; read it again")
        text = self._script.text[:start] + new + self._script.text[start + len(old) :]
        expected = [*self.records[:row], *put, *self.records[row + took :]]
        first = encoding or self._script.encoding
        # Spreadsheets that write Windows-1252 also read UTF-8 with a mark, which has the letters that are missing.
        for codec in (first, "utf-8-sig") if first == "cp1252" else (first,):
            try:
                data = TextFile(text, codec).encoded()
                with replacing(self.path, data) as aside:
                    table, records = _read_back(aside, self._table, expected)
                    encoded = self._script.encoding
                    change = Change(row, took, len(put), start, old, new, encoded, self.digest, digest_of(data))
                    on_change(change)
            except (UnicodeEncodeError, _MisreadError):
                continue
            self._hold(TextFile(text, codec), change.now, replace(table, path=self.path), records)
            return change
        raise DataError(f"{self.path} would be read differently with this change, so the file was not changed")

    def _hold(self, script: TextFile, digest: str, table: Table, records: list[TableRecord]) -> None:
        self._script, self.digest, self.records = script, digest, records
        self.__dict__.pop("_layout", None)
        self._table = table

    @cached_property
    def _layout(self) -> TableLayout:
        """Where the rows stand in the text. :raises DataError: tables of this format cannot be edited."""
        return self._table.layout(self._script.text, self.records)


class _MisreadError(Exception):
    """A changed table does not read as it should."""


def _read_back(path: Path, former: Table, expected: Sequence[TableRecord | None]) -> tuple[Table, list[TableRecord]]:
    try:
        table = former.format.open(path, ColumnChoice())  # as the table was opened: new words may look like a path
        records = list(table.records())
    except DataError as error:
        raise _MisreadError from error
    if len(records) != len(expected):
        raise _MisreadError
    for record, expected_record in zip(records, expected, strict=True):
        if expected_record is not None and _without_line(record) != _without_line(expected_record):
            raise _MisreadError
    return table, records


def _without_line(record: TableRecord) -> TableRecord:
    """Return a record without its line, which changes when rows before it come or go."""
    return replace(record, line=0)


def _reworded(record: TableRecord, words: str) -> TableRecord:
    is_mended = record.problem == unfit_words(record.text)
    return replace(record, text=words, problem=None if is_mended else record.problem)
