"""A JSON list of objects; one object that is a row, that holds such a list, or that names recordings and words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vtune.dataset.sources.columns import FLAGS_COLUMN, ColumnChoice, is_usual
from vtune.dataset.sources.json_objects import DECODER, ObjectLayout, ObjectTable, after_blank, members, object_columns
from vtune.dataset.sources.json_reader import JsonReader, holds_json_lines
from vtune.dataset.sources.layout import Span
from vtune.dataset.sources.plain_text import encoding_of, open_text
from vtune.dataset.sources.table import Certainty, FormatEvidence, TableFormat, TableRecord
from vtune.errors import DataError


class JsonListFormat(TableFormat):
    """A list of objects, or an object of names and words."""

    name = "JSON list"
    endings = (".json", ".jsonl", ".ndjson")
    sure_endings = (".jsonl", ".ndjson")

    def evidence(self, path: Path) -> FormatEvidence | None:
        """Look at the first characters, whatever the ending says."""
        encoding, is_sure = encoding_of(path), path.suffix.lower() in self.sure_endings
        if holds_json_lines(path, encoding, accept_one=is_sure):
            return None
        with open_text(path, encoding) as file:
            opening = JsonReader(path, file).symbol()
        if opening and opening in "[{":
            return FormatEvidence(Certainty.BY_NAME, "it holds one JSON value")
        return None if is_sure else super().evidence(path)

    def open(self, path: Path, choice: ColumnChoice) -> JsonListTable:
        """Find the columns in the first object; read to the end, for a list that breaks off is no list."""
        encoding = encoding_of(path)
        items = read_json_list(path, encoding)
        columns = object_columns(path, items, choice)
        for _ in items:
            pass
        return JsonListTable(path, encoding, columns)


@dataclass(frozen=True, slots=True)
class JsonListTable(ObjectTable):
    """One JSON file."""

    @property
    def format(self) -> TableFormat:
        """A JSON list."""
        return FORMAT

    def records(self) -> Iterator[TableRecord]:
        """Yield a row for each item."""
        return self._records((line, item, None) for line, item in read_json_list(self.path, self.encoding))

    def layout(self, text: str, records: list[TableRecord]) -> JsonListLayout | JsonPairsLayout:
        """Find the objects, or the pairs of name and words."""
        opening = after_blank(text, 0)
        if text[opening] == "{":
            values = [(name, start) for name, start, _ in members(text, opening)]
            if not any(text[start] == "[" for _, start in values):
                if any(is_usual(name) for name, _ in values) or any(text[start] == "{" for _, start in values):
                    raise DataError(f"{self.path} is an object of objects; vtune cannot edit it, edit it by hand")
                return JsonPairsLayout(self, text, escaped=self._is_escaped(text))
            opening = next(start for _, start in values if text[start] == "[")
        return JsonListLayout(self, text, opening, escaped=self._is_escaped(text))


def read_json_list(path: Path, encoding: str) -> Iterator[tuple[int, Any]]:
    """Yield line and item of a list, of the first list of objects inside an object, or of an object of names and words.

    An object with a usual heading, such as ``text``, is one row.

    :raises DataError: the text is none of these, or breaks off; the message says at which line.
    """
    with open_text(path, encoding) as file:
        reader = JsonReader(path, file)
        opening = reader.symbol()
        if opening == "[":
            yield from _list_items(reader)
        elif opening == "{":
            yield from _object_items(path, reader)
        else:
            raise DataError(f"{path} does not hold a JSON list; a .json table is a list of objects")
        if reader.symbol():
            raise reader.broken("something follows the end of the list")


def _list_items(reader: JsonReader) -> Iterator[tuple[int, Any]]:
    """Yield the items of a list whose bracket was taken."""
    if reader.peek() == "]":
        reader.symbol()
        return
    while True:
        yield reader.value()
        if reader.expect(",]") == "]":
            return


def _object_items(path: Path, reader: JsonReader) -> Iterator[tuple[int, Any]]:
    """Yield the rows that an object means whose brace was taken."""
    if reader.peek() == "}":
        reader.symbol()
        return
    other = DataError(
        f"{path} holds one JSON object that vtune does not understand; a .json table is a list of objects, an object "
        "that holds such a list, or one object whose keys name recordings and whose values are words"
    )
    row: dict[str, Any] = {}
    first_line, has_list = 0, False
    while True:
        line, key = reader.value()
        first_line = first_line or line
        reader.expect(":")
        if not isinstance(key, str):
            raise other
        if reader.peek() == "[" and not has_list and not any(map(is_usual, row)):
            reader.symbol()
            for position, item in _list_items(reader):
                if not isinstance(item, dict):
                    raise other
                has_list = True
                yield position, item
        else:
            _, value = reader.value()
            if not row and not has_list and _is_row_value(key, value):
                yield from _pairs(reader, other, line, key, value)
                return
            row[key] = value
        if reader.expect(",}") == "}":
            break
    if has_list:
        return
    if not any(map(is_usual, row)):
        raise other
    yield first_line, row


def _is_row_value(key: str, value: Any) -> bool:
    """Tell whether the first value of an object is the words, or a row with the words, of the recording in its key."""
    if isinstance(value, dict):
        return any(map(is_usual, value))
    return isinstance(value, str) and not is_usual(key)


def _pairs(reader: JsonReader, other: DataError, line: int, name: str, value: Any) -> Iterator[tuple[int, Any]]:
    """Yield the rows of an object whose keys name recordings, of which the first pair was taken.

    :param value: the words, or an object with the words and more.
    """
    yield line, {"filename": name, **(value if isinstance(value, dict) else {"text": value})}
    kind = type(value)
    while reader.expect(",}") == ",":
        line, key = reader.value()
        reader.expect(":")
        _, value = reader.value()
        if not isinstance(key, str) or not isinstance(value, kind):
            raise other
        yield line, {"filename": key, **(value if isinstance(value, dict) else {"text": value})}


class CommaLayout:
    """Rows with commas between them."""

    spans: list[Span]
    _text: str

    def join(self, rows: list[str]) -> str:
        """Join rows with the comma and the blanks that separate the other rows."""
        return self._comma().join(rows)

    def without(self, row: int) -> Span:
        """Return the part of the text with the row and one of the commas beside it."""
        start, end = self.spans[row]
        if row + 1 < len(self.spans):
            return start, self.spans[row + 1][0]
        return (self.spans[row - 1][1] if row else start), end

    def insertion(self, row: int, text: str) -> tuple[int, str]:
        """Return where the row is inserted, and its text with a comma."""
        if row < len(self.spans):
            return self.spans[row][0], text + self._comma()
        return self.spans[-1][1], self._comma() + text

    def bare(self, text: str) -> str:
        """Return the row without commas around it."""
        return text.strip(", \t\r\n")

    def _comma(self) -> str:
        if len(self.spans) > 1:
            return self._text[self.spans[0][1] : self.spans[1][0]]
        before = self._text[: self.spans[0][0]]
        return "," + (before[len(before.rstrip()) :] or " ")


class JsonListLayout(CommaLayout, ObjectLayout):
    """A list of objects."""

    def __init__(self, table: JsonListTable, text: str, opening: int, *, escaped: bool) -> None:
        super().__init__(table, text, escaped=escaped)
        self.spans = []
        start = after_blank(text, opening + 1)
        while text[start] != "]":
            _, end = DECODER.raw_decode(text, start)
            self.spans.append((start, end))
            start = after_blank(text, end)
            start = after_blank(text, start + 1) if text[start] == "," else start


class JsonPairsLayout(CommaLayout):
    """One object of names and words."""

    def __init__(self, table: JsonListTable, text: str, *, escaped: bool) -> None:
        self._table, self._text, self._escaped = table, text, escaped
        opening = after_blank(text, 0)
        self.spans = []
        separator = opening
        for _, _, end in members(text, opening):
            self.spans.append((after_blank(text, separator + 1), end))
            separator = after_blank(text, end)

    def with_words(self, row: str, words: str) -> str:
        """Change the words of the pair."""
        return row[: self._second(row)] + self._value(words)

    def with_flags(self, row: str, flags: str) -> str:
        """Refuse: a pair of name and words has no place for red flags."""
        raise DataError(f"{self._table.path} holds names and words only, no {FLAGS_COLUMN!r}")

    def new_row(self, like: str | None, name: str, words: str) -> str:
        """Return the text of a new pair."""
        if like is None:
            return f"{self._value(name)}: {self._value(words)}"
        _, end = DECODER.raw_decode(like, 0)
        return self._value(name) + like[end : self._second(like)] + self._value(words)

    def _second(self, row: str) -> int:
        _, end = DECODER.raw_decode(row, 0)
        return after_blank(row, after_blank(row, end) + 1)

    def _value(self, value: str) -> str:
        return json.dumps(value, ensure_ascii=self._escaped)


FORMAT = JsonListFormat()
