"""Where the rows of JSON tables stand in their text: lines of objects, a list of them, an object of names and words."""

from __future__ import annotations

import json
import re

from vtune.dataset.editing.lines import LineRows, Span
from vtune.dataset.sources.columns import FLAGS_COLUMN
from vtune.dataset.sources.tables import Table
from vtune.errors import DataError

_BLANK = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


class _Objects:
    """Rows that are JSON objects: one member changes, the rest of the object keeps its letters."""

    def __init__(self, table: Table, text: str, *, escaped: bool) -> None:
        self._table, self._text, self._escaped = table, text, escaped

    def with_words(self, row: str, words: str) -> str:
        """Change one member."""
        return self._with(row, self._table.columns.text, words)

    def with_flags(self, row: str, flags: str) -> str:
        """Change one member."""
        return self._with(row, FLAGS_COLUMN, flags)

    def new_row(self, like: str | None, name: str, words: str) -> str:
        """Copy all other members, or have none."""
        row = self._with(like if like is not None else "{}", self._table.columns.audio, name)
        return self._with(row, self._table.columns.text, words)

    def _with(self, row: str, key: str, value: str) -> str:
        members = _members(row, self._opening(row))
        written = self._value(value)
        for name, start, end in reversed(members):  # of two with one name the last counts
            if name == key:
                return row[:start] + written + row[end:]
        added = ("" if not members else ", ") + f"{self._value(key)}: {written}"
        place = members[-1][2] if members else self._opening(row) + 1
        return row[:place] + added + row[place:]

    def _opening(self, row: str) -> int:
        try:
            sound = isinstance(json.loads(row), dict)
        except (ValueError, RecursionError):
            sound = False
        if not sound:
            raise DataError(f"{self._table.path}: this row is no JSON object; mend it by hand or drop it")
        return _after_blank(row, 0)

    def _value(self, value: str) -> str:
        return json.dumps(value, ensure_ascii=self._escaped)


class JsonLines(LineRows, _Objects):
    """One object a line."""

    _breaks = ("\n",)

    def __init__(self, table: Table, text: str, lines: list[int], *, escaped: bool) -> None:
        super().__init__(table, text, escaped=escaped)
        starts = [0, *(found.end() for found in re.finditer("\n", text))]
        ends = [*starts[1:], len(text)]
        self.spans = [(starts[line - 1], ends[line - 1]) for line in lines]
        self._end = "\r\n" if "\r\n" in text else "\n"

    def new_row(self, like: str | None, name: str, words: str) -> str:
        """A new object on a line of its own."""
        return self._ended(super().new_row(like, name, words)) if like is None else super().new_row(like, name, words)


class _Between:
    """Rows with commas between them."""

    spans: list[Span]
    _text: str

    def join(self, rows: list[str]) -> str:
        """With the comma and the blanks that part other rows."""
        return self._comma().join(rows)

    def without(self, row: int) -> Span:
        """The row and the comma that would be one too many."""
        start, end = self.spans[row]
        if row + 1 < len(self.spans):
            return start, self.spans[row + 1][0]
        return (self.spans[row - 1][1] if row else start), end

    def insertion(self, row: int, text: str) -> tuple[int, str]:
        """Between others, with a comma."""
        if row < len(self.spans):
            return self.spans[row][0], text + self._comma()
        return self.spans[-1][1], self._comma() + text

    def bare(self, text: str) -> str:
        """Take commas away."""
        return text.strip(", \t\r\n")

    def _comma(self) -> str:
        if len(self.spans) > 1:
            return self._text[self.spans[0][1] : self.spans[1][0]]
        before = self._text[: self.spans[0][0]]
        return "," + (before[len(before.rstrip()) :] or " ")


class JsonList(_Between, _Objects):
    """A list of objects."""

    def __init__(self, table: Table, text: str, *, escaped: bool) -> None:
        super().__init__(table, text, escaped=escaped)
        self.spans = []
        place = _after_blank(text, _after_blank(text, 0) + 1)
        while text[place] != "]":
            _, end = _DECODER.raw_decode(text, place)
            self.spans.append((place, end))
            place = _after_blank(text, end)
            place = _after_blank(text, place + 1) if text[place] == "," else place


class JsonPairs(_Between):
    """One object of names and words."""

    def __init__(self, table: Table, text: str, *, escaped: bool) -> None:
        self._table, self._text, self._escaped = table, text, escaped
        opening = _after_blank(text, 0)
        self.spans = []
        place = opening
        for _, _, end in _members(text, opening):
            place = _after_blank(text, place + 1)
            self.spans.append((place, end))
            place = _after_blank(text, end)

    def with_words(self, row: str, words: str) -> str:
        """Change the second of the pair."""
        return row[: self._second(row)] + self._value(words)

    def with_flags(self, row: str, flags: str) -> str:
        """A pair has no place for them."""
        raise DataError(f"{self._table.path} holds names and words only, no {FLAGS_COLUMN!r}")

    def new_row(self, like: str | None, name: str, words: str) -> str:
        """A new pair."""
        if like is None:
            return f"{self._value(name)}: {self._value(words)}"
        _, end = _DECODER.raw_decode(like, 0)
        return self._value(name) + like[end : self._second(like)] + self._value(words)

    def _second(self, row: str) -> int:
        _, end = _DECODER.raw_decode(row, 0)
        return _after_blank(row, _after_blank(row, end) + 1)

    def _value(self, value: str) -> str:
        return json.dumps(value, ensure_ascii=self._escaped)


def _after_blank(text: str, place: int) -> int:
    found = _BLANK.match(text, place)
    return found.end() if found else place


def _members(text: str, opening: int) -> list[tuple[str, int, int]]:
    """Return name, start and end of each value of an object that is known to be sound."""
    found = []
    place = _after_blank(text, opening + 1)
    while text[place] != "}":
        name, end = _DECODER.raw_decode(text, place)
        start = _after_blank(text, _after_blank(text, end) + 1)
        _, end = _DECODER.raw_decode(text, start)
        found.append((name, start, end))
        place = _after_blank(text, end)
        place = _after_blank(text, place + 1) if text[place] == "," else place
    return found
