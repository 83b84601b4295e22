"""AISHELL's transcripts: ``transcript/aishell_transcript_v0.8.txt``, and ``content.txt`` of AISHELL-3.

A line is ``BAC009S0002W0122 而 对 楼市 成交``: the speaker is S0002, and the blanks between words are not spoken.
In AISHELL-3 (``SSB00050001.wav<TAB>广 guang3 州 zhou1``) each character has its sound beside it, which is no word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vtune.dataset.sources.columns import ColumnChoice
from vtune.dataset.sources.name_lines import NameLinesTable, without_word_gaps
from vtune.dataset.sources.plain_text import encoding_of, first_line
from vtune.dataset.sources.table import Certainty, FormatEvidence, TableFormat, TableRecord, make_record

_NAME = re.compile(r"(?:BAC\d{3}(S\d{4})W\d{4}|(SSB\d{4})\d{4}(?:\.wav)?)")
_SOUND = re.compile(r"[a-z]+[1-5]?")


class AishellFormat(TableFormat):
    """One transcript for all speakers of a part."""

    name = "AISHELL transcript"
    endings = (".txt",)
    max_depth = 2
    allows_several = True

    def has_name(self, name: str, *, is_given: bool) -> bool:
        """Take ``aishell_transcript*.txt`` and ``content.txt``."""
        return re.fullmatch(r"(aishell.*transcript.*|content)\.txt", name.lower()) is not None

    def evidence(self, path: Path) -> FormatEvidence | None:
        """Look at the name in the first line."""
        name, *_ = first_line(path).split() or [""]
        if not _NAME.fullmatch(name):
            return None
        return FormatEvidence(Certainty.BY_CONTENT, f"its first line begins with a name of AISHELL, {name}")

    def open(self, path: Path, choice: ColumnChoice) -> AishellTable:
        """Refuse columns, which such a transcript does not have."""
        self.refuse_columns(path, choice)
        return AishellTable(path, encoding_of(path))


@dataclass(frozen=True, slots=True)
class AishellTable(NameLinesTable):
    """One transcript."""

    @property
    def format(self) -> TableFormat:
        """AISHELL."""
        return FORMAT

    @property
    def has_speakers(self) -> bool:
        """Each name holds the number of its speaker."""
        return True

    def speaker_in(self, name: str) -> str:
        """Return ``S0002`` of ``BAC009S0002W0122``, ``SSB0005`` of ``SSB00050001.wav``."""
        match = _NAME.fullmatch(name)
        return (match[1] or match[2]) if match else ""

    def describe(self) -> str:
        """Say what the parts of a line are, and what is taken out."""
        understood = "each line has the name of a recording, which holds the speaker, and the words"
        return self._described(self.format.name, f"{understood}; blanks between Chinese words are taken out")

    def records(self) -> Iterator[TableRecord]:
        """Yield a row for each line that is not blank."""
        for line, name, words in self.lines():
            if name.startswith("SSB"):
                words = " ".join(part for part in words.split() if not _SOUND.fullmatch(part))
            yield make_record(line, name, without_word_gaps(words), self.speaker_in(name))


FORMAT = AishellFormat()
