"""Edit the rows of tables and sidecar texts: what is not edited stays as it is, byte for byte.

A changed file is written aside and read back as training reads it; only when it says what was wanted, and nothing else
differently, does it take the place of the old one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vtune.dataset.editing.text_file import Script, digest_of, read_bytes, read_script, replacing
from vtune.dataset.sources.columns import ColumnChoice
from vtune.dataset.sources.layout import Layout
from vtune.dataset.sources.plain_text import unfit_words
from vtune.dataset.sources.table import Record, Table, TableFormat
from vtune.dataset.sources.tables import open_table
from vtune.errors import DataError


class StaleError(DataError):
    """A file is not what it was when it was read: somebody else has changed it."""


@dataclass(frozen=True, slots=True)
class Change:
    """One edit of one file, with what it takes to undo it.

    :param row: number of the first row concerned, counted from 0; ``took`` rows gave way to ``put``.
    :param start: where in the text ``old`` gave way to ``new``; None is no file at all.
    :param encoding: of the file before.
    :param was: digest of the file before; ``now``, after.
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


Noted = Callable[[Change], None]
"""Is told of a change just before it is made; what it raises stops the change."""


def nobody(change: Change) -> None:
    """Take no note."""


def spoken(words: str) -> str:
    """Return words as a row can hold them, white space made single blanks. :raises DataError: they cannot be spoken."""
    joined = " ".join(words.split())
    if (problem := unfit_words(joined)) is not None:
        raise DataError("there are no words; drop the clip instead" if not joined else problem)
    return joined


class EditableTable:
    """One table, edited row by row; every edit is on disk when its method returns.

    All methods raise ``StaleError`` where the file is not what it was when it was read, and ``DataError`` where the
    table cannot hold what it is given; the file is then untouched. ``noted`` is told of each change before it is made.
    ``records`` are the rows as they stand now, ``digest`` names the content of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        script, digest = read_script(path)
        table = open_table(path)
        self._hold(script, digest, table, list(table.records()))

    def set_words(self, row: int, words: str, noted: Noted = nobody) -> Change:
        """Change the words of a row."""
        words = spoken(words)
        text = self._layout.with_words(self._text(row), words)
        return self._exchange(row, [text], [_reworded(self.records[row], words)], noted)

    def set_flags(self, row: int, flags: str, noted: Noted = nobody) -> Change:
        """Change the red flags of a row; empty ones approve it."""
        text = self._layout.with_flags(self._text(row), flags)
        return self._exchange(row, [text], [replace(self.records[row], red_flags=" ".join(flags.split()))], noted)

    def drop(self, row: int, noted: Noted = nobody) -> Change:
        """Take a row out."""
        start, end = self._layout.without(row)
        return self._splice(row, 1, [], start, self._script.text[start:end], "", noted)

    def put_back(self, row: int, change: Change, noted: Noted = nobody) -> Change:
        """Put a row that was dropped back, to become number ``row``."""
        return self._insert(row, self._layout.bare(change.old or ""), None, noted)

    def replace(self, row: int, rows: Sequence[tuple[str, str]], noted: Noted = nobody) -> Change:
        """Let new rows of recordings and words take the place of one, like it in all other columns."""
        old, record = self._text(row), self.records[row]
        told = [(name, spoken(words)) for name, words in rows]
        texts = [self._layout.new_row(old, name, words) for name, words in told]
        return self._exchange(
            row, texts, [replace(_reworded(record, words), audio=name) for name, words in told], noted
        )

    def add(self, name: str, words: str, noted: Noted = nobody) -> Change:
        """Add a row at the end."""
        words = spoken(words)
        text = self._layout.new_row(None, name, words)
        return self._insert(len(self.records), text, Record(0, name, words, self._table.speaker_in(name)), noted)

    def undo(self, change: Change, noted: Noted = nobody) -> Change:
        """Take a change back: to the byte, where the file is as the change left it; else where its rows are found."""
        if change.old is None or change.new is None:
            raise DataError(f"{self.path}: this is no change of a table")
        if self.digest == change.now:
            rows = [None] * change.took
            return self._splice(
                change.row, change.put, rows, change.start, change.new, change.old, noted, change.encoding
            )
        if not change.put:
            return self.put_back(min(change.row, len(self.records)), change, noted)
        wanted = change.new if change.took else self._layout.bare(change.new)
        row = self._find(wanted, change)
        if not change.took:
            return self.drop(row, noted)
        start, end = self._layout.spans[row][0], self._layout.spans[row + change.put - 1][1]
        found = self._script.text[start:end]
        return self._splice(row, change.put, [None] * change.took, start, found, change.old, noted)

    def _find(self, text: str, change: Change) -> int:
        """Return the row at which a change's rows begin, whatever their line ends have become."""
        spans, whole, wanted = self._layout.spans, self._script.text, text.rstrip("\r\n")
        starts = range(len(spans) - change.put + 1)
        ends = [spans[start + change.put - 1][1] for start in starts]
        found = [n for n in starts if whole[spans[n][0] : ends[n]].rstrip("\r\n") == wanted]
        if len(found) != 1:
            raise StaleError(f"{self.path}: this row has been changed since, so the edit cannot be undone")
        return found[0]

    def _text(self, row: int) -> str:
        start, end = self._layout.spans[row]
        return self._script.text[start:end]

    def _insert(self, row: int, text: str, record: Record | None, noted: Noted) -> Change:
        start, new = self._layout.insertion(row, text)
        return self._splice(row, 0, [record], start, "", new, noted)

    def _exchange(self, row: int, texts: list[str], records: Sequence[Record], noted: Noted) -> Change:
        start, _ = self._layout.spans[row]
        return self._splice(row, 1, records, start, self._text(row), self._layout.join(texts), noted)

    def _splice(
        self, row: int, took: int, put: Sequence[Record | None], start: int, old: str, new: str,
        noted: Noted, encoding: str | None = None,
    ) -> Change:  # fmt: skip
        """Exchange a part of the text.

        :param put: what the new rows must read as; None is not known.
        :param encoding: that the file had before, for an undoing.
        """
        if digest_of(read_bytes(self.path)) != self.digest:
            raise StaleError(f"{self.path} was changed by another program since it was read; read it again")
        text = self._script.text[:start] + new + self._script.text[start + len(old) :]
        wanted = [*self.records[:row], *put, *self.records[row + took :]]
        first = encoding or self._script.encoding
        # Spreadsheets that write Windows-1252 read UTF-8 with a mark, and a new letter shall not be refused.
        for tried in (first, "utf-8-sig") if first == "cp1252" else (first,):
            try:
                data = Script(text, tried).encoded()
                with replacing(self.path, data) as aside:
                    table, records = _read_back(aside, self._table.format, wanted)
                    encoded = self._script.encoding
                    change = Change(row, took, len(put), start, old, new, encoded, self.digest, digest_of(data))
                    noted(change)
            except (UnicodeEncodeError, _OtherwiseError):
                continue
            self._hold(Script(text, tried), change.now, replace(table, path=self.path), records)
            return change
        raise DataError(f"{self.path} would be read differently with this change, so it is left as it is")

    def _hold(self, script: Script, digest: str, table: Table, records: list[Record]) -> None:
        self._script, self.digest, self.records = script, digest, records
        self._table = table
        self._layout: Layout = table.layout(script.text, records)


class _OtherwiseError(Exception):
    """A changed table does not say what was wanted."""


def _read_back(path: Path, table_format: TableFormat, wanted: Sequence[Record | None]) -> tuple[Table, list[Record]]:
    try:
        table = table_format.open(path, ColumnChoice())
        found = list(table.records())
    except DataError as error:
        raise _OtherwiseError from error
    pairs = zip(wanted, found, strict=False)
    if len(found) != len(wanted) or any(asked is not None and _said(asked) != _said(got) for asked, got in pairs):
        raise _OtherwiseError
    return table, found


def _said(record: Record) -> tuple[str, str, str, str | None, str]:
    """All but the line, which changes when a row comes or goes before it."""
    return record.audio, record.text, record.speaker, record.problem, record.red_flags


def _reworded(record: Record, words: str) -> Record:
    mended = record.problem == unfit_words(record.text)
    return replace(record, text=words, problem=None if mended else record.problem)
