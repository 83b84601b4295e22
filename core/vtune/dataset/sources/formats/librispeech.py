"""LibriSpeech's transcripts: ``84-121123.trans.txt`` beside a chapter's recordings, ``84-121123-0000 WORDS`` a line.

The first number of a name is the reader. The words are in capital letters without punctuation, and stay so.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vtune.dataset.sources.columns import ColumnChoice
from vtune.dataset.sources.name_lines import NameLinesTable
from vtune.dataset.sources.plain_text import encoding_of, first_line
from vtune.dataset.sources.table import Certainty, FormatEvidence, TableFormat
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
        first = first_line(path)
        if not first.startswith(f"{chapter}-"):
            return None
        return FormatEvidence(Certainty.BY_CONTENT, f"its lines begin with {chapter}-, as its name does")

    def open(self, path: Path, choice: ColumnChoice) -> LibriSpeechTable:
        """Refuse columns, which such a transcript does not have."""
        self.refuse_columns(path, choice)
        table = LibriSpeechTable(path, encoding_of(path))
        if next(table.records(), None) is None:
            raise DataError(f"{path} has no rows")
        return table


@dataclass(frozen=True, slots=True)
class LibriSpeechTable(NameLinesTable):
    """The transcript of one chapter."""

    @property
    def format(self) -> TableFormat:
        """LibriSpeech."""
        return FORMAT

    @property
    def has_speakers(self) -> bool:
        """Each name begins with the number of its reader."""
        return True

    def speaker_in(self, name: str) -> str:
        """Return the number of the reader, with which the name of a recording begins: ``84`` of ``84-121123-0000``."""
        return name.partition("-")[0]

    def describe(self) -> str:
        """Say what the parts of a line are."""
        understood = "each line has the name of a recording, whose first number is the speaker, and the words"
        return self._described(self.format.name, understood)


FORMAT = LibriSpeechFormat()
