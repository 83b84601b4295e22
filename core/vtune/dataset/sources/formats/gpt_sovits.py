"""GPT-SoVITS's and Bert-VITS2's lists: ``path|speaker|language|words``; further cells, which hold sounds, are left.

The paths are often those of another machine, ``D:\\\\x\\\\a.wav``; the recordings are found by their names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vtune.dataset.sources.columns import ColumnChoice
from vtune.dataset.sources.plain_text import encoding_of, open_text
from vtune.dataset.sources.table import Certainty, FormatEvidence, Table, TableFormat, TableRecord, make_record
from vtune.errors import DataError

CELLS = 4

_LANGUAGE = re.compile(r"(all_)?(zh|ja|jp|en|ko|kr|yue|de|fr|es|it|pt|ru|auto)(_yue)?(-[a-z]{2})?", re.I)


class GptSovitsFormat(TableFormat):
    """Four cells with a pipe between them."""

    name = "GPT-SoVITS list"
    endings = (".list",)
    allows_several = False

    def has_name(self, name: str, *, is_given: bool) -> bool:
        """Take ``*.list``, and any table with pipes that the user named; the content decides."""
        return name.lower().endswith((".list", ".txt", ".csv") if is_given else (".list", "filelist.txt", "esd.txt"))

    def evidence(self, path: Path) -> FormatEvidence | None:
        """Look at the third cell of the first line: a language."""
        with open_text(path, encoding_of(path)) as file:
            first = next((line for line in file if line.strip()), "")
        cells = first.split("|")
        if len(cells) < CELLS or not _LANGUAGE.fullmatch(cells[2].strip()):
            return None
        return FormatEvidence(
            Certainty.BY_CONTENT, f"the third cell of its first line is a language, {cells[2].strip()}"
        )

    def open(self, path: Path, choice: ColumnChoice) -> GptSovitsTable:
        """Refuse columns, which this layout fixes."""
        if choice.names:
            raise DataError(f"{path} has no columns with names, so none can be named {choice.names[0]!r}")
        return GptSovitsTable(path, encoding_of(path))


@dataclass(frozen=True, slots=True)
class GptSovitsTable(Table):
    """One list."""

    @property
    def format(self) -> TableFormat:
        """GPT-SoVITS."""
        return FORMAT

    @property
    def has_speakers(self) -> bool:
        """The second cell names the speaker."""
        return True

    @property
    def names_are_guessed(self) -> bool:
        """No header says which cell names the recording."""
        return True

    def describe(self) -> str:
        """Say what the cells are."""
        understood = "cell 1 names the recording, cell 2 the speaker, cell 3 the language, cell 4 has the words"
        return self._described(self.format.name, understood)

    def records(self) -> Iterator[TableRecord]:
        """Yield a row for each line that is not blank."""
        with open_text(self.path, self.encoding) as file:
            for line, text in enumerate(file, 1):
                if not text.strip():
                    continue
                cells = [cell.strip() for cell in text.rstrip("\r\n").split("|")]
                if len(cells) < CELLS:
                    yield make_record(line, cells[0], "", problem=f"{len(cells)} cells where a list has {CELLS}")
                else:
                    yield make_record(line, cells[0], cells[3], cells[1])


FORMAT = GptSovitsFormat()
