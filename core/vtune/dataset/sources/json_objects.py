"""Tables whose rows are JSON objects: their records, and the objects in the text of the file, for editing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from vtune.dataset.sources.columns import FLAGS_COLUMN, Columns
from vtune.dataset.sources.table import Table, TableRecord, make_record
from vtune.errors import DataError

DECODER = json.JSONDecoder()
_BLANK = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class ObjectTable(Table):
    """A table of JSON objects."""

    columns: Columns

    @property
    def has_speakers(self) -> bool:
        """Whether a key names the speaker."""
        return self.columns.speaker is not None

    def describe(self) -> str:
        """Name format, encoding and keys."""
        return self._described(self.format.name, self.columns.describe())

    def _records(self, objects: Iterator[tuple[int, Any, str | None]]) -> Iterator[TableRecord]:
        """Yield the rows that lines, items and problems make."""
        for line, item, problem in objects:
            if problem or not isinstance(item, dict):
                yield TableRecord(line, "", "", "", problem or f"a JSON object was expected, found {str(item)[:40]!r}")
                continue
            speaker = item.get(self.columns.speaker) if self.columns.speaker else None
            flags = item.get(FLAGS_COLUMN)
            yield make_record(line, item.get(self.columns.audio), item.get(self.columns.text), speaker, flags=flags)

    def _is_escaped(self, text: str) -> bool:
        """Tell whether letters beyond ASCII are written as escapes in this file."""
        return self.encoding == "cp1252" or (text.isascii() and "\\u" in text)


class ObjectLayout:
    """Rows that are JSON objects: one member changes, the rest of the object keeps its letters."""

    def __init__(self, table: ObjectTable, text: str, *, escaped: bool) -> None:
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
        values = members(row, self._opening(row))
        written = self._value(value)
        for name, start, end in reversed(values):  # of two with one name the last counts
            if name == key:
                return row[:start] + written + row[end:]
        added = ("" if not values else ", ") + f"{self._value(key)}: {written}"
        position = values[-1][2] if values else self._opening(row) + 1
        return row[:position] + added + row[position:]

    def _opening(self, row: str) -> int:
        try:
            is_object = isinstance(json.loads(row), dict)
        except (ValueError, RecursionError):
            is_object = False
        if not is_object:
            raise DataError(f"{self._table.path}: this row is not a JSON object; mend it by hand or drop it")
        return after_blank(row, 0)

    def _value(self, value: str) -> str:
        return json.dumps(value, ensure_ascii=self._escaped)


def after_blank(text: str, start: int) -> int:
    """Return the next position that is not white space."""
    match = _BLANK.match(text, start)
    return match.end() if match else start


def members(text: str, opening: int) -> list[tuple[str, int, int]]:
    """Return name, start and end of each value of an object that is known to be sound."""
    values = []
    position = after_blank(text, opening + 1)
    while text[position] != "}":
        name, end = DECODER.raw_decode(text, position)
        start = after_blank(text, after_blank(text, end) + 1)
        _, end = DECODER.raw_decode(text, start)
        values.append((name, start, end))
        position = after_blank(text, end)
        position = after_blank(text, position + 1) if text[position] == "," else position
    return values
