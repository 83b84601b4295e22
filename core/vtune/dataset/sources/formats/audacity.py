"""Audacity's label tracks, ``take.txt`` beside ``take.wav``: start, end and text of a label, with tabs between them.

A label of one point has its end where the next label begins. Lines that begin with a backslash hold frequencies.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from vtune.dataset.sources.columns import ColumnChoice
from vtune.dataset.sources.cues import HEAD_CHARACTERS, Cue, CueFormat
from vtune.dataset.sources.part_times import parse_seconds
from vtune.dataset.sources.table import FormatEvidence

_BEGINNING = re.compile(rb"[^\d\\\s]{0,3}\s*(\d+[.,]\d+\s|\\)")
_LABEL = re.compile(r"\s*(\d+[.,]\d+)[ ]*\t[ ]*(\d+[.,]\d+)[ ]*(?:\t(.*))?")


class AudacityFormat(CueFormat):
    """Labels of one recording."""

    name = "Audacity labels"
    kind = "Audacity labels"
    endings = (".txt",)
    joins = False
    rank = 1

    def evidence(self, path: Path) -> FormatEvidence | None:
        """Look at a few bytes first: a folder may have a hundred thousand texts beside recordings."""
        with path.open("rb") as file:
            begins = _BEGINNING.match(file.read(64).replace(b"\0", b""))
        return super().evidence(path) if begins else None

    def sign(self, path: Path, head: str) -> str | None:
        """Look for labels in all lines."""
        lines = [line for line in head.splitlines() if line.strip() and not line.startswith("\\")]
        whole = lines[:-1] if len(head) == HEAD_CHARACTERS else lines
        return "each line has two times and a text" if whole and all(map(_LABEL.fullmatch, whole)) else None

    def cues(self, path: Path, text: str, choice: ColumnChoice) -> Iterator[Cue]:
        """Yield the labels."""
        for number, line in enumerate(text.split("\n"), 1):
            if not line.strip() or line.startswith("\\"):
                continue
            label = _LABEL.fullmatch(line)
            if label is None:
                problem = f"{line[:60]!r} is no label: start, end and text, with tabs between them"
                yield Cue(number, None, None, line.strip(), problem=problem)
                continue
            start, end = parse_seconds(label[1]), parse_seconds(label[2])
            yield Cue(number, start, None if end == start else end, (label[3] or "").strip())


FORMAT = AudacityFormat()
