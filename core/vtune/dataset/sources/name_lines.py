"""Tables whose lines are a name, a blank and words: LibriSpeech, Kaldi, AISHELL and many lists of prompts."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from vtune.dataset.sources.layout import LineLayout
from vtune.dataset.sources.plain_text import open_text
from vtune.dataset.sources.table import Table, TableRecord, make_record
from vtune.errors import DataError

_LINE = re.compile(r"(?P<name>\S+)(?:\s+(?P<words>.*))?", re.DOTALL)


_WORD_GAP = re.compile("(?<=[\u3040-\u30ff\u3400-\u9fff])[ \t]+(?=[\u3040-\u30ff\u3400-\u9fff])")


def without_word_gaps(words: str) -> str:
    """Take out blanks between Chinese or Japanese characters: lists write them between words, nobody speaks them.

    ``"而 对 楼市"`` becomes ``"而对楼市"``; ``"说 OK 吗"`` stays as it is.
    """
    return _WORD_GAP.sub("", words)


@dataclass(frozen=True, slots=True)
class NameLinesTable(Table):
    """A text file with a name and the words on each line.

    ``LINE`` finds ``name`` and ``words`` in a line without the blanks around it.
    """

    LINE: ClassVar[re.Pattern[str]] = _LINE

    @property
    def names_are_guessed(self) -> bool:
        """Whether the names are guessed: always, because no header says that lines begin with the names of
        recordings.
        """
        return True

    def records(self) -> Iterator[TableRecord]:
        """Yield a row for each line that is not blank."""
        for line, name, words in self.lines():
            yield make_record(line, name, without_word_gaps(words), self.speaker_in(name))

    def lines(self) -> Iterator[tuple[int, str, str]]:
        """Yield number, name and words of each line that is not blank."""
        with open_text(self.path, self.encoding, newline="\n") as file:
            for line, text in enumerate(file, 1):
                if match := self.LINE.fullmatch(text.strip()):
                    yield line, match["name"], match["words"] or ""

    def layout(self, text: str, records: list[TableRecord]) -> NameLinesLayout:
        """Find the line of each row."""
        return NameLinesLayout(self, text, [record.line for record in records])


class NamedLinesLayout(LineLayout):
    """Rows that are lines with a name and words, however they are written."""

    _breaks = ("\n",)
    _table: Table

    def __init__(self, table: Table, text: str, lines: list[int]) -> None:
        self._table, self._text = table, text
        self._end = "\r\n" if "\r\n" in text else "\n"
        starts = list(itertools.accumulate(map(len, io.StringIO(text, newline="\n")), initial=0))
        self.spans = [(starts[line - 1], starts[line]) for line in lines]

    def with_flags(self, row: str, flags: str) -> str:
        """Refuse: a line has a name and words only."""
        raise DataError(f"{self._table.path} holds names and words only, so it cannot hold red flags")


class NameLinesLayout(NamedLinesLayout):
    """Rows of a name, blanks and words."""

    _table: NameLinesTable

    def with_words(self, row: str, words: str) -> str:
        """Exchange what follows the name."""
        body = row.strip()
        match = self._table.LINE.fullmatch(body)
        if match is None or not match["words"]:
            return f"{row.rstrip()} {words}{_line_end(row)}"
        start = row.index(body) + match.start("words")
        return f"{row[:start]}{words}{_line_end(row)}"

    def new_row(self, like: str | None, name: str, words: str) -> str:
        """Write a line."""
        if " " in name:
            raise DataError(f"{self._table.path}: the name {name!r} has a blank, which separates name and words here")
        return f"{name} {words}{self._end if like is None else _line_end(like)}"


def _line_end(row: str) -> str:
    """Return the white space that a line ends with."""
    return row[len(row.rstrip()) :]
