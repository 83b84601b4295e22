"""Lists of prompts: a name, a blank or a colon, and the words on each line, with nothing that says so (JSUT, VoxForge).

Only the recordings tell that the first word of a line is a name: ``vtune.dataset.sources.word_files`` finds such lists.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vtune.dataset.sources.columns import ColumnChoice
from vtune.dataset.sources.name_lines import NameLinesTable
from vtune.dataset.sources.plain_text import encoding_of
from vtune.dataset.sources.table import TableFormat

LINE = re.compile(r"(?P<name>[^\s:：]+)(?:\s*[:：]\s*|\s+)?(?P<words>.*)", re.DOTALL)
"""A line: ``a0001 Words``, ``a0001.wav: Words`` or ``BASIC5000_0001:Words``."""


class NamesAndWordsFormat(TableFormat):
    """Any text file whose lines begin with the names of recordings."""

    name = "names and words"
    endings = ()

    def has_name(self, name: str, *, is_given: bool) -> bool:
        """Take no file by its name."""
        return False

    def open(self, path: Path, choice: ColumnChoice) -> NamesAndWordsTable:
        """Refuse columns, which such a list does not have."""
        self.refuse_columns(path, choice)
        return NamesAndWordsTable(path, encoding_of(path))


@dataclass(frozen=True, slots=True)
class NamesAndWordsTable(NameLinesTable):
    """A list of prompts."""

    LINE: ClassVar[re.Pattern[str]] = LINE

    @property
    def format(self) -> TableFormat:
        """Names and words."""
        return FORMAT

    def describe(self) -> str:
        """Say what the parts of a line are."""
        return self._described(self.format.name, "each line has the name of a recording and the words")


FORMAT = NamesAndWordsFormat()
