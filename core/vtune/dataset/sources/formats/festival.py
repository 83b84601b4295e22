"""Festival's prompts, as in CMU Arctic: ``etc/txt.done.data`` with ``( arctic_a0001 "The words." )`` a line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vtune.dataset.sources.columns import ColumnChoice
from vtune.dataset.sources.name_lines import NamedLinesLayout
from vtune.dataset.sources.plain_text import encoding_of, first_line, open_text
from vtune.dataset.sources.table import Certainty, FormatEvidence, Table, TableFormat, TableRecord, make_record
from vtune.errors import DataError

ENDING = ".data"

_LINE = re.compile(r'\s*\(\s*(?P<name>[^\s"()]+)\s+"(?P<words>(?:[^"\\]|\\.)*)"\s*\)\s*')


class FestivalFormat(TableFormat):
    """A list of Lisp: a name and words in quotes."""

    name = "Festival prompts"
    endings = (ENDING,)
    max_depth = 2  # a folder for each voice, which has etc/
    allows_several = True

    def has_name(self, name: str, *, is_given: bool) -> bool:
        """Take ``*.data``; the content decides."""
        return name.lower().endswith(ENDING) or (is_given and name.lower().endswith(".txt"))

    def evidence(self, path: Path) -> FormatEvidence | None:
        """Look at the first line that is not blank."""
        first = first_line(path)
        return (
            FormatEvidence(Certainty.BY_CONTENT, 'its lines are ( name "words" )') if _LINE.fullmatch(first) else None
        )

    def open(self, path: Path, choice: ColumnChoice) -> FestivalTable:
        """Refuse columns, which such a list does not have."""
        self.refuse_columns(path, choice)
        return FestivalTable(path, encoding_of(path))


@dataclass(frozen=True, slots=True)
class FestivalTable(Table):
    """The prompts of one voice."""

    @property
    def format(self) -> TableFormat:
        """Festival."""
        return FORMAT

    def describe(self) -> str:
        """Say what the parts of a line are."""
        return self._described(self.format.name, "each line has the name of a recording and the words in quotes")

    def records(self) -> Iterator[TableRecord]:
        """Yield a row for each line that is not blank."""
        with open_text(self.path, self.encoding, newline="\n") as file:
            for line, text in enumerate(file, 1):
                if not text.strip():
                    continue
                match = _LINE.fullmatch(text)
                if match is None:
                    yield make_record(line, "", "", problem='this line is not ( name "words" )')
                else:
                    yield make_record(line, match["name"], re.sub(r"\\(.)", r"\1", match["words"]))

    def layout(self, text: str, records: list[TableRecord]) -> FestivalLayout:
        """Find the line of each row."""
        return FestivalLayout(self, text, [record.line for record in records])


class FestivalLayout(NamedLinesLayout):
    """Rows of a name and quoted words in brackets."""

    def with_words(self, row: str, words: str) -> str:
        """Exchange what stands between the quotes."""
        match = _LINE.fullmatch(row)
        if match is None:
            raise DataError(f'{self._table.path}: this row is not ( name "words" ); mend it by hand or drop it')
        return row[: match.start("words")] + _escaped(words) + row[match.end("words") :]

    def new_row(self, like: str | None, name: str, words: str) -> str:
        """Write a line."""
        if re.search(r'[\s"()]', name):
            raise DataError(f"{self._table.path}: the name {name!r} has a blank, a quote or a bracket")
        return f'( {name} "{_escaped(words)}" ){self._end}'


def _escaped(words: str) -> str:
    return words.replace("\\", "\\\\").replace('"', '\\"')


FORMAT = FestivalFormat()
