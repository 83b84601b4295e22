"""Tables whose rows are JSON objects: their records, and the objects in the text of the file, for editing."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vtune.dataset.sources.column_chooser import choose_columns
from vtune.dataset.sources.column_table import ColumnTable
from vtune.dataset.sources.columns import FLAGS_COLUMN, SAMPLE_CELL_CHARACTERS, SAMPLE_ROWS, ColumnChoice, Columns
from vtune.dataset.sources.table import TableRecord, make_record
from vtune.errors import DataError

MAX_KEYS = 500
"""Different keys of a table's objects; further ones are not looked at."""

DECODER = json.JSONDecoder()
_BLANK = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class ObjectTable(ColumnTable):
    """A table of JSON objects."""

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
            audio, problem = _recording_in(item.get(self.columns.audio))
            yield make_record(
                line, audio, item.get(self.columns.text), speaker, problem, flags, self.columns.times.read(item)
            )

    def _is_escaped(self, text: str) -> bool:
        """Tell whether letters beyond ASCII are written as escapes in this file."""
        return self.encoding == "cp1252" or (text.isascii() and "\\u" in text)


def object_columns(path: Path, items: Iterable[tuple[int, Any]], choice: ColumnChoice) -> Columns:
    """Choose the columns of a table of objects by its first objects.

    :param items: line and item of each row, in order; others than objects are passed over.
    :raises DataError: there is no object, or the columns cannot be told.
    """
    objects = (
        (line, {key: _as_cell(value) for key, value in itertools.islice(item.items(), MAX_KEYS)})
        for line, item in items
        if isinstance(item, dict)
    )
    sample = list(itertools.islice(objects, SAMPLE_ROWS))
    if not sample:
        raise DataError(f"{path} has no rows that are JSON objects")
    keys = tuple(dict.fromkeys(key for _, item in sample for key in item))[:MAX_KEYS]
    rows = [[item.get(key, "") for key in keys] for _, item in sample]
    return choose_columns(path, keys, rows, choice, sample[0][0])


def _recording_in(value: Any) -> tuple[Any, str | None]:
    """Return the name of a recording and a problem; an object may hold the name under ``path``, as in Parquet."""
    if not isinstance(value, dict):
        return value, None
    path = value.get("path")
    if isinstance(path, str) and path.strip():
        return path, None
    return "", f"the recording is an object without a 'path' (it has: {', '.join(map(str, value))[:80]})"


def _as_cell(value: Any) -> str:
    value, _ = _recording_in(value)
    return "" if value is None else str(value)[:SAMPLE_CELL_CHARACTERS]


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
        """Return the text of a new object: with the other members of ``like``, or without any others."""
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
