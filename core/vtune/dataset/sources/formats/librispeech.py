"""LibriSpeech's transcripts: ``84-121123.trans.txt`` beside a chapter's recordings, ``84-121123-0000 WORDS`` a line.

The first number of a name is the reader. The words are in capital letters without punctuation, and stay so.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vtune.dataset.sources.columns import ColumnChoice
from vtune.dataset.sources.layout import LineLayout
from vtune.dataset.sources.plain_text import encoding_of, open_text
from vtune.dataset.sources.table import Certainty, FormatEvidence, Table, TableFormat, TableRecord, make_record
from vtune.errors import DataError

ENDING = ".trans.txt"


class LibriSpeechFormat(TableFormat):
    """A transcript for each chapter, in a folder for each chapter, in a folder for each reader."""

    name = "LibriSpeech transcript"
    endings = (ENDING,)
    max_depth = 3  # dev-clean/84/121123, where the source may be the folder above dev-clean
    allows_several = True

    def has_name(self, name: str, *, is_given: bool) -> bool:
        """Take ``*.trans.txt``."""
        return name.lower().endswith(ENDING)

    def evidence(self, path: Path) -> FormatEvidence | None:
        """Compare the first line with the file's name: ``84-121123-`` begins both."""
        chapter = path.name[: -len(ENDING)]
        with open_text(path, encoding_of(path)) as file:
            first = next((line for line in file if line.strip()), "")
        if not first.startswith(f"{chapter}-"):
            return None
        return FormatEvidence(Certainty.BY_CONTENT, f"its lines begin with {chapter}-, as its name does")

    def open(self, path: Path, choice: ColumnChoice) -> LibriSpeechTable:
        """Refuse columns, which such a transcript does not have."""
        if choice.names:
            raise DataError(f"{path} has no columns, so none can be named {choice.names[0]!r}")
        table = LibriSpeechTable(path, encoding_of(path))
        if next(table.records(), None) is None:
            raise DataError(f"{path} has no rows")
        return table


@dataclass(frozen=True, slots=True)
class LibriSpeechTable(Table):
    """The transcript of one chapter."""

    @property
    def format(self) -> TableFormat:
        """LibriSpeech."""
        return FORMAT

    @property
    def has_speakers(self) -> bool:
        """Each name begins with the number of its reader."""
        return True

    @property
    def names_are_guessed(self) -> bool:
        """No header says that the first word of a line is the name of a recording."""
        return True

    def speaker_in(self, name: str) -> str:
        """Return the first number of a name."""
        return name.partition("-")[0]

    def describe(self) -> str:
        """Say what the parts of a line are."""
        understood = "each line has the name of a recording, whose first number is the speaker, and the words"
        return self._described(self.format.name, understood)

    def records(self) -> Iterator[TableRecord]:
        """Yield a row for each line that is not blank."""
        with open_text(self.path, self.encoding, newline="\n") as file:
            for line, text in enumerate(file, 1):
                name, _, words = text.strip().partition(" ")
                if name:
                    yield make_record(line, name, words, self.speaker_in(name))

    def layout(self, text: str, records: list[TableRecord]) -> LibriSpeechLayout:
        """Find the line of each row."""
        return LibriSpeechLayout(self, text, [record.line for record in records])


class LibriSpeechLayout(LineLayout):
    """Rows of a name, a blank and words."""

    _breaks = ("\n",)

    def __init__(self, table: LibriSpeechTable, text: str, lines: list[int]) -> None:
        self._table, self._text = table, text
        self._end = "\r\n" if "\r\n" in text else "\n"
        starts = list(itertools.accumulate(map(len, io.StringIO(text, newline="\n")), initial=0))
        self.spans = [(starts[line - 1], starts[line]) for line in lines]

    def with_words(self, row: str, words: str) -> str:
        """Exchange what follows the name."""
        name, _, _ = row.strip().partition(" ")
        return f"{name} {words}{_line_end(row)}"

    def with_flags(self, row: str, flags: str) -> str:
        """Refuse: a line has a name and words only."""
        raise DataError(f"{self._table.path} holds names and words only, so it cannot hold red flags")

    def new_row(self, like: str | None, name: str, words: str) -> str:
        """Write a line."""
        if " " in name:
            raise DataError(f"{self._table.path}: the name {name!r} has a blank, which separates name and words here")
        return f"{name} {words}{self._end if like is None else _line_end(like)}"


def _line_end(row: str) -> str:
    """Return the white space that a line ends with."""
    return row[len(row.rstrip()) :]


FORMAT = LibriSpeechFormat()
