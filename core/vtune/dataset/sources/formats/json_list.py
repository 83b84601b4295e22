"""A JSON list of objects, or one object whose keys name recordings and whose values are words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vtune.dataset.sources.columns import FLAGS_COLUMN, ColumnChoice, pick_columns
from vtune.dataset.sources.json_objects import DECODER, ObjectLayout, ObjectTable, after_blank, members
from vtune.dataset.sources.json_reader import JsonReader
from vtune.dataset.sources.layout import Span
from vtune.dataset.sources.plain_text import encoding_of, open_text
from vtune.dataset.sources.table import TableFormat, TableRecord
from vtune.errors import DataError


class JsonListFormat(TableFormat):
    """A list of objects, or an object of names and words."""

    name = "JSON list"
    endings = (".json",)

    def open(self, path: Path, choice: ColumnChoice) -> JsonListTable:
        """Find the columns in the first object; read to the end, for a list that breaks off is no list."""
        encoding = encoding_of(path)
        first: tuple[int, dict[Any, Any]] | None = None
        for line, item in read_json_list(path, encoding):
            if first is None and isinstance(item, dict):
                first = line, item
        if first is None:
            raise DataError(f"{path} has no rows that are JSON objects")
        return JsonListTable(path, encoding, pick_columns(path, first[0], tuple(first[1]), choice))


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
        layout = JsonPairsLayout if text.lstrip().startswith("{") else JsonListLayout
        return layout(self, text, escaped=self._is_escaped(text))


def read_json_list(path: Path, encoding: str) -> Iterator[tuple[int, Any]]:
    """Yield line and item of a list; of one object of names and words, each pair as an item.

    :raises DataError: it is neither, or breaks off; says at which line.
    """
    with open_text(path, encoding) as file:
        reader = JsonReader(path, file)
        opening = reader.symbol()
        if opening not in ("[", "{"):
            raise DataError(f"{path} does not hold a JSON list; a .json table is a list of objects")
        closing = "]" if opening == "[" else "}"
        if reader.peek() == closing:
            return
        while True:
            line, item = reader.value()
            if opening == "{":
                reader.expect(":")
                _, words = reader.value()
                if not isinstance(item, str) or not isinstance(words, str):
                    raise DataError(
                        f"{path} holds one JSON object; a .json table is a list of objects, "
                        "or one object whose keys name recordings and whose values are words"
                    )
                item = {"filename": item, "text": words}
            yield line, item
            if reader.expect("," + closing) == closing:
                break
        if reader.symbol():
            raise reader.broken("something follows the end of the list")


class CommaLayout:
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


class JsonListLayout(CommaLayout, ObjectLayout):
    """A list of objects."""

    def __init__(self, table: JsonListTable, text: str, *, escaped: bool) -> None:
        super().__init__(table, text, escaped=escaped)
        self.spans = []
        start = after_blank(text, after_blank(text, 0) + 1)
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
        """Change the second of the pair."""
        return row[: self._second(row)] + self._value(words)

    def with_flags(self, row: str, flags: str) -> str:
        """A pair has no place for them."""
        raise DataError(f"{self._table.path} holds names and words only, no {FLAGS_COLUMN!r}")

    def new_row(self, like: str | None, name: str, words: str) -> str:
        """A new pair."""
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
