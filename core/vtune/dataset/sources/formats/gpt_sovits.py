"""GPT-SoVITS's and Bert-VITS2's lists: ``path|speaker|language|words``; further cells, which hold sounds, are left.

The paths are often those of another machine, ``D:\\\\x\\\\a.wav``; the recordings are found by their names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path

from vtune.dataset.sources.columns import ColumnChoice
from vtune.dataset.sources.formats import delimited
from vtune.dataset.sources.plain_text import first_line
from vtune.dataset.sources.table import Certainty, FormatEvidence, TableFormat

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
        first = first_line(path)
        cells = first.split("|")
        if len(cells) < CELLS or not _LANGUAGE.fullmatch(cells[2].strip()):
            return None
        return FormatEvidence(
            Certainty.BY_CONTENT, f"the third cell of its first line is a language, {cells[2].strip()}"
        )

    def open(self, path: Path, choice: ColumnChoice) -> GptSovitsTable:
        """Open a table without a header; the recipe may still name other columns."""
        fixed = ColumnChoice(choice.audio or "1", choice.text or "4", choice.speaker or "2", choice.voice)
        table = delimited.FORMAT.open(path, fixed)
        return GptSovitsTable(**{field.name: getattr(table, field.name) for field in fields(table)})


@dataclass(frozen=True, slots=True)
class GptSovitsTable(delimited.DelimitedTable):
    """One list."""

    @property
    def format(self) -> TableFormat:
        """GPT-SoVITS."""
        return FORMAT

    def describe(self) -> str:
        """Name the format and the columns."""
        return self._described(self.format.name, self.columns.describe())


FORMAT = GptSovitsFormat()
