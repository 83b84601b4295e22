"""Rows that stand on lines of their own, whatever the lines hold."""

from __future__ import annotations

Span = tuple[int, int]


class LineRows:
    """What tables have in common whose rows are lines: how they are joined, taken out and put in.

    ``_breaks`` are what ends a line, ``_end`` is written at the end of a new one.
    """

    spans: list[Span]
    _text: str
    _end: str
    _breaks: tuple[str, ...]

    def join(self, rows: list[str]) -> str:
        """Each on a line of its own; the last ends as it does."""
        return "".join(map(self._ended, rows[:-1])) + rows[-1]

    def without(self, row: int) -> Span:
        """The lines of the row."""
        return self.spans[row]

    def insertion(self, row: int, text: str) -> tuple[int, str]:
        """Between lines."""
        if row < len(self.spans):
            return self.spans[row][0], self._ended(text)
        place = self.spans[-1][1] if self.spans else len(self._text)
        ahead = "" if self._text[:place].endswith(self._breaks) or not place else self._end
        return place, ahead + (self._ended(text) if place < len(self._text) else text)

    def bare(self, text: str) -> str:
        """A line is a row."""
        return text

    def _ended(self, row: str) -> str:
        return row if row.endswith(self._breaks) else row + self._end
