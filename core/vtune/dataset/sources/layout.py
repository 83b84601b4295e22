"""Where the rows of a table stand in its text, and how a changed or a new row is written in the table's own manner."""

from __future__ import annotations

from typing import Protocol

Span = tuple[int, int]
"""Start and end of a part of a text: ``text[start:end]``."""


class TableLayout(Protocol):
    """The rows of one text. ``spans[i]`` is where the i-th of ``Table.records()`` stands."""

    spans: list[Span]

    def with_words(self, row: str, words: str) -> str:
        """Return the text of a row with other words. :raises DataError: the row cannot hold them."""
        ...

    def with_flags(self, row: str, flags: str) -> str:
        """Return the text of a row with other red flags. :raises DataError: the table has no place for them."""
        ...

    def new_row(self, like: str | None, name: str, words: str) -> str:
        """Return the text of a new row, which is like the row ``like`` in all columns but name and words."""
        ...

    def join(self, rows: list[str]) -> str:
        """Return the text of several rows that take the place of one row."""
        ...

    def without(self, row: int) -> Span:
        """Return the part to cut when a row goes: the row, and what separates it from the next row."""
        ...

    def insertion(self, row: int, text: str) -> tuple[int, str]:
        """Return where a row is inserted to become number ``row``, and the text to insert."""
        ...

    def bare(self, text: str) -> str:
        """Return a row without what separates it from other rows."""
        ...


class LineLayout:
    """What tables have in common whose rows are lines: how rows are joined, taken out and put in.

    ``_breaks`` are what ends a line, ``_end`` is written at the end of a new line.
    """

    spans: list[Span]
    _text: str
    _end: str
    _breaks: tuple[str, ...]

    def join(self, rows: list[str]) -> str:
        """Put each row on a line of its own; the last line ends as the last row does."""
        return "".join(map(self._ended, rows[:-1])) + rows[-1]

    def without(self, row: int) -> Span:
        """Return the lines of the row."""
        return self.spans[row]

    def insertion(self, row: int, text: str) -> tuple[int, str]:
        """Insert between lines."""
        if row < len(self.spans):
            return self.spans[row][0], self._ended(text)
        start = self.spans[-1][1] if self.spans else len(self._text)
        ahead = "" if self._text[:start].endswith(self._breaks) or not start else self._end
        return start, ahead + (self._ended(text) if start < len(self._text) else text)

    def bare(self, text: str) -> str:
        """Return the line as it is."""
        return text

    def _ended(self, row: str) -> str:
        return row if row.endswith(self._breaks) else row + self._end
