"""JSON Lines: one object a line; a broken line costs no other line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vtune.dataset.sources.columns import ColumnChoice
from vtune.dataset.sources.json_objects import ObjectLayout, ObjectTable, object_columns
from vtune.dataset.sources.json_reader import holds_json_lines
from vtune.dataset.sources.layout import LineLayout
from vtune.dataset.sources.plain_text import encoding_of, open_text
from vtune.dataset.sources.table import Certainty, FormatEvidence, TableFormat, TableRecord


class JsonLinesFormat(TableFormat):
    """One object a line."""

    name = "JSON Lines"
    endings = (".jsonl", ".ndjson", ".json")
    sure_endings = (".jsonl", ".ndjson")

    def evidence(self, path: Path) -> FormatEvidence | None:
        """Look at the first lines: NeMo writes JSON Lines into ``.json``."""
        is_sure = path.suffix.lower() in self.sure_endings
        if holds_json_lines(path, encoding_of(path), accept_one=is_sure):
            return FormatEvidence(Certainty.BY_NAME, "each line is a JSON value")
        return super().evidence(path) if is_sure else None

    def open(self, path: Path, choice: ColumnChoice) -> JsonLinesTable:
        """Find the columns in the first objects."""
        encoding = encoding_of(path)
        items = ((line, item) for line, item, _ in read_json_lines(path, encoding))
        return JsonLinesTable(path, encoding, object_columns(path, items, choice))


@dataclass(frozen=True, slots=True)
class JsonLinesTable(ObjectTable):
    """One JSON Lines file."""

    @property
    def format(self) -> TableFormat:
        """JSON Lines."""
        return FORMAT

    def records(self) -> Iterator[TableRecord]:
        """Yield a row for each line."""
        return self._records(read_json_lines(self.path, self.encoding))

    def layout(self, text: str, records: list[TableRecord]) -> JsonLinesLayout:
        """Find the line of each row."""
        return JsonLinesLayout(self, text, [record.line for record in records], escaped=self._is_escaped(text))


def read_json_lines(path: Path, encoding: str) -> Iterator[tuple[int, Any, str | None]]:
    """Yield line, item and problem of every line that is not blank."""
    with open_text(path, encoding, newline="\n") as file:
        for line, text in enumerate(file, 1):
            if not text.strip():
                continue
            try:
                yield line, json.loads(text), None
            except (ValueError, RecursionError) as error:
                yield line, None, f"not JSON: {error}"


class JsonLinesLayout(LineLayout, ObjectLayout):
    """Rows that are objects on lines of their own."""

    _breaks = ("\n",)

    def __init__(self, table: JsonLinesTable, text: str, lines: list[int], *, escaped: bool) -> None:
        super().__init__(table, text, escaped=escaped)
        starts = [0, *(match.end() for match in re.finditer("\n", text))]
        ends = [*starts[1:], len(text)]
        self.spans = [(starts[line - 1], ends[line - 1]) for line in lines]
        self._end = "\r\n" if "\r\n" in text else "\n"

    def new_row(self, like: str | None, name: str, words: str) -> str:
        """Return the text of a new object, on a separate line."""
        return self._ended(super().new_row(like, name, words)) if like is None else super().new_row(like, name, words)


FORMAT = JsonLinesFormat()
