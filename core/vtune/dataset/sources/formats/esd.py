"""The emotional speech data set ESD: ``0011/0011.txt`` with ``0011_000001<TAB>words<TAB>emotion`` for each speaker.

The recordings lie in ``0011/Angry/``, or in ``0011/Angry/train/`` and so on. The texts of ESD have four encodings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vtune.dataset.sources.columns import ColumnChoice
from vtune.dataset.sources.plain_text import encoding_of, first_line, open_text
from vtune.dataset.sources.table import Certainty, FormatEvidence, Table, TableFormat, TableRecord, make_record
from vtune.errors import DataError

_NAME = re.compile(r"\d{4}")


class EsdFormat(TableFormat):
    """A text for each speaker, in the folder of the speaker and with its number."""

    name = "ESD transcript"
    endings = (".txt",)
    max_depth = 2  # the source may be the folder above that of all speakers
    allows_several = True

    def has_name(self, name: str, *, is_given: bool) -> bool:
        """Take ``0011.txt``."""
        return name.lower().endswith(".txt") and _NAME.fullmatch(name[:-4]) is not None

    def evidence(self, path: Path) -> FormatEvidence | None:
        """Compare the first line with the file's name: ``0011_`` and tabs."""
        first = first_line(path)
        cells = first.strip().split("\t")
        if not 2 <= len(cells) <= 3 or not cells[0].startswith(f"{path.stem}_"):
            return None
        return FormatEvidence(Certainty.BY_CONTENT, f"its lines begin with {path.stem}_, as its name does")

    def open(self, path: Path, choice: ColumnChoice) -> EsdTable:
        """Refuse columns, which ESD's layout fixes."""
        if choice.names:
            raise DataError(f"{path} has no columns with names, so none can be named {choice.names[0]!r}")
        return EsdTable(path, encoding_of(path))


@dataclass(frozen=True, slots=True)
class EsdTable(Table):
    """The text of one speaker."""

    @property
    def format(self) -> TableFormat:
        """ESD."""
        return FORMAT

    @property
    def has_speakers(self) -> bool:
        """The file has the number of its speaker."""
        return True

    def speaker_in(self, name: str) -> str:
        """Return the number of the speaker, with which the name of a recording begins: ``0011`` of ``0011_000001``."""
        return name.partition("_")[0]

    def describe(self) -> str:
        """Say what the cells of a line are."""
        understood = (
            "cell 1 names the recording, whose first number is the speaker, cell 2 has the words, cell 3 the emotion"
        )
        return self._described(self.format.name, f"{understood}, which is not used")

    def records(self) -> Iterator[TableRecord]:
        """Yield a row for each line that is not blank."""
        with open_text(self.path, self.encoding) as file:
            for line, text in enumerate(file, 1):
                cells = text.strip().split("\t")
                if not any(cells):
                    continue
                problem = None if len(cells) > 1 else "a line has a name, a tab and the words"
                words = cells[1] if len(cells) > 1 else ""
                yield make_record(line, cells[0].strip(), words, self.speaker_in(cells[0].strip()), problem)


FORMAT = EsdFormat()
