"""The table that ``whisper talk.wav`` leaves, ``talk.tsv``: start and end in milliseconds, and the text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vtune.dataset.sources.columns import ColumnChoice
from vtune.dataset.sources.cues import Cue, CueFormat
from vtune.dataset.sources.part_times import parse_seconds

_HEADER = ["start", "end", "text"]


class WhisperTsvFormat(CueFormat):
    """Segments of one recording."""

    name = "Whisper's TSV"
    kind = "Whisper's TSV"
    endings = (".tsv",)
    rank = 6

    def sign(self, path: Path, head: str) -> str | None:
        """Compare the first line, and whole numbers in the second."""
        header, _, rest = head.partition("\n")
        cells = rest.partition("\n")[0].split("\t")
        is_header = [cell.strip().lower() for cell in header.split("\t")] == _HEADER
        are_whole = len(cells) >= 2 and all(cell.strip().isdigit() for cell in cells[:2])
        return "its columns are start, end and text, in whole milliseconds" if is_header and are_whole else None

    def cues(self, path: Path, text: str, choice: ColumnChoice) -> Iterator[Cue]:
        """Yield the segments."""
        for number, line in enumerate(text.split("\n")[1:], 2):
            if not line.strip():
                continue
            try:
                start, end, words = line.split("\t", 2)
                times = (parse_seconds(start, milliseconds=True), parse_seconds(end, milliseconds=True))
            except ValueError:
                problem = f"{line[:60]!r} is no row of start, end and text"
                yield Cue(number, None, None, "", problem=problem)
                continue
            yield Cue(number, *times, words)


FORMAT = WhisperTsvFormat()
